"""What is turned away before any route sees it: web pages, bodies that only a web page would send, too large ones.

A page in a browser on this machine reaches our loopback port. It cannot hide its origin, and without leave it cannot
send JSON that says that it is JSON.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.types import Message, Receive

from broker.auth.signature import Headers
from broker.control_api.documented import JSON, LINES_OF_JSON
from broker.control_api.errors import BodyTooLarge, Forbidden, WrongContentType
from broker.settings import is_loopback

DEVICES = "/_platform/devices"
RESETS = f"{DEVICES}/reset-secrets"
MAX_BODY = 64 << 10
MAX_MESSAGE_BODY = 384 << 10
"""Of the vendor's messages: 256 KB as base64, and what is said of them."""
MAX_DEVICES_BODY = 16 << 20


def max_body(path: str) -> int:
    if path.startswith("/v5/iot/") and path.endswith("/messages"):
        return MAX_MESSAGE_BODY
    return MAX_DEVICES_BODY if path in (DEVICES, RESETS) else MAX_BODY


def require_decent(path: str, headers: Headers) -> None:
    """Look at the head of a request; raises Forbidden, BodyTooLarge or WrongContentType when it is not to be served."""
    if not _is_ours(headers.get(b"origin")):
        raise Forbidden("Web pages of other machines are not served.")
    length = headers.get(b"content-length", b"0")
    if int(length) > max_body(path):
        raise BodyTooLarge(max_body(path))
    has_body = length != b"0" or b"transfer-encoding" in headers
    types = (JSON, LINES_OF_JSON) if path == DEVICES else (JSON,)
    if has_body and _media_type(headers) not in ("", *types):
        raise WrongContentType(f"Content-Type: expected {' or '.join(types)}")


def limited(receive: Receive, limit: int) -> Receive:
    """Receive a body up to a limit; raises BodyTooLarge as soon as it is more."""
    left = limit

    async def receive_some() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise BodyTooLarge(limit)
        return message

    return receive_some


def require_trust(headers: Mapping[str, str], *, callers_are_known: bool) -> None:
    """Keep secrets from a page whose own name was bound to our address: it asks without an origin, but by that name.

    Raises Forbidden.
    """
    if not callers_are_known and not names_loopback(f"//{headers.get('host', '')}"):
        raise Forbidden("Secrets: expected to be addressed by a loopback name.")


def names_loopback(url: str) -> bool:
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return False
    return host is not None and is_loopback(host)


def _is_ours(origin: bytes | None) -> bool:
    return origin is None or names_loopback(origin.decode("latin-1"))


def _media_type(headers: Headers) -> str:
    return headers.get(b"content-type", b"").decode("latin-1").split(";")[0].strip().lower()
