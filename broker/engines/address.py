"""Where an engine is: `builtin`, `amqtt`, or the URL of a broker."""

import ssl
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Self
from urllib.parse import SplitResult, unquote, urlsplit

from broker.errors import SettingsError

EXPECTED = "expected builtin, amqtt, mqtt://[USER[:PASSWORD]@]HOST[:PORT], mqtts://… or unix:/PATH"
PORTS = {"mqtt": 1883, "mqtts": 8883}


class Kind(Enum):
    BUILTIN = auto()
    AMQTT = auto()
    TCP = auto()
    TLS = auto()
    UNIX = auto()


@dataclass(frozen=True, slots=True)
class EngineAddress:
    """`path` is of a unix socket; `ca` holds the certificates (PEM) of who vouches for a broker over TLS.

    Every session goes by the same `username` and `password`: the engine is to trust the gate, and nobody else.
    """

    kind: Kind
    host: str = ""
    port: int = 0
    path: str = ""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca: Path | None = None

    @classmethod
    def parse(cls, text: str, password: str | None = None, ca: Path | None = None) -> Self:
        """Read what a user writes; `password` is for a URL without one. Raises SettingsError."""
        if text in ("builtin", "amqtt"):
            return cls(Kind[text.upper()])
        try:
            url = urlsplit(text)
            port = url.port
        except ValueError as error:
            raise SettingsError(f"engine: {error}; {EXPECTED}") from None
        user = None if url.username is None else unquote(url.username)
        if url.password is not None:
            password = unquote(url.password)
        if user is None:
            password = None
        if url.scheme == "unix" and url.path and not (url.hostname or url.query or url.fragment):
            return cls(Kind.UNIX, path=url.path, username=user, password=password)
        if url.scheme not in PORTS or not url.hostname or _says_more(url):
            raise SettingsError(f"engine {_shown(url)!r}: {EXPECTED}")
        kind = Kind.TLS if url.scheme == "mqtts" else Kind.TCP
        return cls(kind, url.hostname, port or PORTS[url.scheme], username=user, password=password, ca=ca)

    @property
    def is_broker(self) -> bool:
        """Whether sessions are relayed to it."""
        return self.kind is not Kind.BUILTIN

    @property
    def login(self) -> bytes | None:
        """The password as CONNECT wants it."""
        return None if self.password is None else self.password.encode()

    def __str__(self) -> str:
        """What may be shown: no password."""
        match self.kind:
            case Kind.BUILTIN | Kind.AMQTT:
                return self.kind.name.lower()
            case Kind.UNIX:
                return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.kind is Kind.TLS else 'mqtt'}://{host}:{self.port}"

    def tls_context(self) -> ssl.SSLContext | None:
        """What a connection to it is secured with, if it is; raises SettingsError for certificates we cannot read."""
        if self.kind is not Kind.TLS:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca)
        except OSError as error:
            raise SettingsError(f"engine: the certificates in {self.ca} cannot be read: {error}") from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


BUILTIN = EngineAddress(Kind.BUILTIN)


def _says_more(url: SplitResult) -> bool:
    return url.path not in ("", "/") or bool(url.query or url.fragment)


def _shown(url: SplitResult) -> str:
    """A URL that was not understood may still hold a password."""
    return url._replace(netloc=url.netloc.rpartition("@")[2]).geturl()
