"""One attempt to push, on aiohttp; nobody imports this module before there is something to push.

No redirects, no proxies, no cookies, and names that lead elsewhere than to this machine are not followed unless the
platform is exposed: what is checked is the address that is connected to, not the name that somebody wrote.
"""

import socket

import aiohttp
from aiohttp import AddrInfoType
from aiohttp.abc import ResolveResult

from broker.push.outcome import Failure, Outcome
from broker.settings import is_loopback

HEADERS = {"Content-Type": "application/json", "User-Agent": "keyturn"}


class AddressNotAllowedError(OSError):
    """A name that does not lead to this machine."""


class LoopbackResolver(aiohttp.ThreadedResolver):
    """Knows no machine but this one."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await super().resolve(host, port, family)
        ours = [one for one in found if is_loopback(one["host"])]
        if not ours:
            raise AddressNotAllowedError(f"{host} is not this machine")
        return ours


def loopback_socket(address: AddrInfoType) -> socket.socket:
    """Make a socket to an address of this machine; no resolver sees a host that is written as an address."""
    family, kind, protocol, _, place = address
    if not is_loopback(str(place[0])):
        raise AddressNotAllowedError(f"{place[0]} is not this machine")
    return socket.socket(family, kind, protocol)


class HttpClient:
    """Connections to receivers, kept open between pushes."""

    def __init__(self, timeout_s: float, *, anywhere: bool) -> None:
        connector = (
            aiohttp.TCPConnector(resolver=aiohttp.ThreadedResolver(), limit=0)
            if anywhere
            else aiohttp.TCPConnector(resolver=LoopbackResolver(), socket_factory=loopback_socket, limit=0)
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=HEADERS,
        )

    async def post(self, url: str, body: bytes) -> Outcome:
        """Send a body; what the receiver answers beyond its status is not read."""
        try:
            async with self._session.post(url, data=body, allow_redirects=False) as response:
                return Outcome.of_status(response.status)
        except TimeoutError:
            return Outcome(failure=Failure.TIMEOUT)
        except aiohttp.ClientConnectorError as error:
            refused = isinstance(error.os_error, AddressNotAllowedError)
            return Outcome(failure=Failure.NOT_ALLOWED if refused else Failure.UNREACHABLE)
        except (aiohttp.ClientError, OSError, ValueError):
            return Outcome(failure=Failure.UNREACHABLE)

    async def close(self) -> None:
        await self._session.close()
