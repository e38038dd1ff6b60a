"""Where pushes may go: a platform for tests must not be a tool to call strangers with."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from broker.errors import InvalidInput
from broker.settings import is_loopback

MAX_URL = 2048
HTTP_PORT = 80


@dataclass(frozen=True, slots=True)
class Target:
    """A receiver; only `place`, its host and port, may be journalled: the rest of a URL can hold a secret."""

    url: str = field(repr=False)
    place: str


def parse_target(url: str, *, anywhere: bool) -> Target:
    """Read the URL of a receiver; unless `anywhere`, its host is `localhost` or a loopback address.

    Raises InvalidInput, which does not repeat the URL.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise InvalidInput("url: expected a URL") from None
    if parts.scheme != "http" or not host or len(url) > MAX_URL or not url.isprintable() or " " in url:
        raise InvalidInput(f"url: expected http://host[:port][/path], at most {MAX_URL} characters")
    if parts.username is not None or parts.password is not None:
        raise InvalidInput("url: expected no user name and no password")
    shown = f"[{host}]" if ":" in host else host
    if parts.netloc.lower() not in (shown, f"{shown}:{port}"):
        raise InvalidInput("url: expected nothing but host and port before the path")
    if not anywhere and not is_loopback(host):
        raise InvalidInput("url: expected a loopback address; to push to others start the platform with --expose")
    return Target(url, f"{shown}:{HTTP_PORT if port is None else port}")
