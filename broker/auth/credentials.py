"""What an IoTDA device presents in CONNECT: client id, password; and what a secret may look like.

Client id: `{device_id}_0_{sign}_{YYYYMMDDHH}`, or `{node_id}_2_{sign}_{YYYYMMDDHH}`; the hour is UTC.
Password: lower-case hex of HMAC-SHA256 with the hour as key and the secret as message.
"""

import hmac
import re
from enum import Enum

from wire.record import record

_CLIENT_ID = re.compile(r"([A-Za-z0-9_-]{1,128})_([02])_([012])_([0-9]{10})")
_SECRET = re.compile(r"[A-Za-z0-9_-]{8,32}")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")


class Sign(Enum):
    """The third field of a client id: how the password is made, and whether the hour is checked."""

    HMAC_SHA256 = "0"
    HMAC_SHA256_CHECKED_HOUR = "1"
    HMAC_SM3 = "2"


_SIGNS = {sign.value: sign for sign in Sign}


@record
class ClientId:
    """A client id taken apart; `name` is a node id when `is_node_id`, else a device id."""

    name: str
    is_node_id: bool
    sign: Sign
    hour: str


def parse_client_id(text: str) -> ClientId | None:
    """Take a client id apart from the right, because a device id may hold underscores; None if it is none."""
    found = _CLIENT_ID.fullmatch(text)
    if found is None:
        return None
    name, kind, sign, hour = found.groups()
    return ClientId(name, kind == "2", _SIGNS[sign], hour)


def password(secret: str, hour: str) -> str:
    """Make the password that proves a secret in an hour (`YYYYMMDDHH`)."""
    return hmac.digest(hour.encode(), secret.encode(), "sha256").hex()


def secret_error(secret: str) -> str | None:
    """Say what a secret should have been, without repeating it, or None."""
    if _SECRET.fullmatch(secret):
        return None
    return f"a secret has 8 to 32 characters of A-Z a-z 0-9 _ -, this one ({len(secret)} characters) is none"


def psk_error(secret: str) -> str | None:
    """Say why a secret cannot be the pre-shared key of an NB-IoT device, or None."""
    if problem := secret_error(secret):
        return problem
    if _HEX.fullmatch(secret):
        return None
    return "the secret of an NB-IoT device is hexadecimal with an even number of digits, this one is not"
