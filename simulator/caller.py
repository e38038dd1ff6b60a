"""Who calls a control API, and from which environment variables that is known: secrets never stand in a file."""

import os
import re
from dataclasses import dataclass, field

from simulator.errors import UsageError
from simulator.signer import AccessKey

_KEY_ID = re.compile(r"[!-+\-.0-~]+")


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller with a token, with a key to sign with, or with neither."""

    token: str = field(default="", repr=False)
    key: AccessKey | None = None


NOBODY = Caller()


@dataclass(frozen=True, slots=True)
class CallerVariables:
    """The environment variables that a user named; `region` asks for signatures with a key derived for it."""

    token: str | None = None
    access_key: str | None = None
    secret_key: str | None = None
    region: str | None = None

    def read(self) -> Caller:
        """Give the caller; UsageError names the variable, never what is in it."""
        if bool(self.access_key) != bool(self.secret_key):
            raise UsageError("the access key and its secret key belong together: name both variables or none")
        if self.token and self.access_key:
            raise UsageError("a token and an access key are two ways to be let in: name the variables of one of them")
        if self.access_key and self.secret_key:
            return Caller(key=self._key(self.access_key, self.secret_key))
        return Caller(_value(self.token, "token")) if self.token else NOBODY

    def _key(self, access_key: str, secret_key: str) -> AccessKey:
        key = AccessKey(_value(access_key, "access key"), _value(secret_key, "secret key"), self.region or "")
        if _KEY_ID.fullmatch(key.id) is None:
            raise UsageError(f"{access_key}: expected visible ASCII characters, neither a comma nor a slash")
        if not key.secret.isprintable():
            raise UsageError(f"{secret_key}: expected printable characters")
        return key


def _value(variable: str, what: str) -> str:
    value = os.environ.get(variable, "")
    if not value:
        raise UsageError(f"the environment variable {variable} is empty; expected the API's {what}")
    return value
