"""What a ROMA device presents in CONNECT, and what its user name and password may look like.

The vendor's pages and its SDK (3.1.219) disagree on the lengths, so the bounds are settings.
"""

import re

from wire.record import record

SPECIAL_CHARACTERS = "~!@#$%^&*()-_=+|[{}];:<>/?"
LONGEST_PASSWORD = 32

_CLIENT_ID = re.compile(r"D[0-9]{9}[A-Za-z0-9]{6}")
_USER_NAME = re.compile(r"[A-Za-z0-9-]+")
_PASSWORD = re.compile(
    r"(?=.*[0-9])(?=.*[A-Z])(?=.*[a-z])(?=.*[{0}])[A-Za-z0-9{0}]+".format(re.escape(SPECIAL_CHARACTERS))
)


def is_client_id(text: str) -> bool:
    """Tell whether this could be the client id of a ROMA device; no IoTDA device connects with one of this shape."""
    return _CLIENT_ID.fullmatch(text) is not None


@record
class LoginRules:
    """Lengths, both ends included."""

    shortest_password: int = 16
    user_name_length: tuple[int, int] = (1, 64)

    def user_name_error(self, user_name: str) -> str | None:
        """Say what a user name should have been, or None."""
        shortest, longest = self.user_name_length
        if _USER_NAME.fullmatch(user_name) and shortest <= len(user_name) <= longest:
            return None
        return f"user_name: {shortest} to {longest} letters, digits and hyphens"

    def password_error(self, password: str, shortest: int | None = None) -> str | None:
        """Say what a password should have been, without repeating it, or None."""
        shortest = self.shortest_password if shortest is None else shortest
        if _PASSWORD.fullmatch(password) and shortest <= len(password) <= LONGEST_PASSWORD:
            return None
        return f"password: {shortest}-{LONGEST_PASSWORD} of 0-9, A-Z, a-z, {SPECIAL_CHARACTERS}, one of each"
