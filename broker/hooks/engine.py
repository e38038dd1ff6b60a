"""A broker's management API, as far as hook mode needs one."""

from dataclasses import field
from typing import Protocol
from urllib.parse import unquote, urlsplit

from broker.errors import BrokerError, SettingsError
from wire.record import record


class EngineError(BrokerError):
    """The management API did not do as it was asked, or did not answer; the message holds neither URL nor password."""


@record
class Address:
    """Where a management API is, and how to log in."""

    base: str
    user: str
    password: str = field(repr=False)


@record
class Visitor:
    """Who was let in, in the broker's terms."""

    device_id: str
    client_id: str
    username: str


@record
class Connection:
    """What a broker lists; `name` is its own for it."""

    name: str
    client_id: str
    username: str


class Engine(Protocol):
    """Every call raises EngineError."""

    async def connections(self) -> list[Connection]:
        """Return every MQTT connection; a young one may be missing."""

    async def is_connected(self, visitor: Visitor) -> bool:
        """Tell whether a device has a connection, a young one included where the broker can tell."""

    async def cut(self, visitor: Visitor, *, alone: bool) -> bool:
        """Cut a device's connection; tells whether there may have been one.

        Not `alone` is a device that has come again with another client id: that connection is not to be cut.
        """

    async def cut_connection(self, connection: Connection) -> None:
        """Cut a connection that was listed, if it is still there."""

    async def close(self) -> None:
        """Give up what is under way."""


def parse_address(url: str, password: str | None) -> Address:
    """Read the URL of a management API; a password in it goes before the other.

    Raises SettingsError, which does not repeat the URL.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise SettingsError("engine_api: expected a URL") from None
    if parts.scheme not in ("http", "https") or not host or not parts.username or parts.query or parts.fragment:
        raise SettingsError("engine_api: expected http://user[:password]@host[:port][/path]")
    found = password if parts.password is None else unquote(parts.password)
    if not found:
        raise SettingsError("engine_api: expected a password, in the URL or as engine_password")
    if ":" in unquote(parts.username):
        raise SettingsError("engine_api: expected a user name without a colon")
    shown = f"[{host}]" if ":" in host else host
    place = shown if port is None else f"{shown}:{port}"
    return Address(f"{parts.scheme}://{place}{parts.path.rstrip('/')}", unquote(parts.username), found)
