"""Connects to a broker: over TCP, with or without TLS, or over a socket of this machine."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from functools import partial

from broker.engines.address import EngineAddress, Kind
from broker.errors import SettingsError

Dial = Callable[[Callable[[], asyncio.Protocol]], Awaitable[object]]
"""Makes a protocol of the factory's a connection; raises OSError."""

PROBE_AFTER_S, PROBE_EVERY_S, PROBES = 30, 10, 3
"""How a broker's machine that is gone without a word is found out."""


async def dial_of(address: EngineAddress, timeout_s: float) -> Dial:
    """Make the dial of an address; its name is resolved once, so that no session waits for a name server.

    Only over TCP is there anything to wait for, at most for `timeout_s`.
    """
    loop = asyncio.get_running_loop()
    if address.kind is Kind.UNIX:
        return partial(_dial_unix, address.path)
    try:
        found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise SettingsError(f"engine: {address.host!r} cannot be resolved: {error.strerror}") from error
    return partial(_dial_tcp, str(found[0][4][0]), address, address.tls_context(), timeout_s)


async def _dial_unix(path: str, factory: Callable[[], asyncio.Protocol]) -> None:
    """Connect at once or not at all; asyncio's own would take a full backlog for a connection under way."""
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.setblocking(False)
        sock.connect(path)
        await asyncio.get_running_loop().create_unix_connection(factory, sock=sock)
    except OSError:
        sock.close()
        raise


async def _dial_tcp(
    host: str,
    address: EngineAddress,
    context: ssl.SSLContext | None,
    timeout_s: float,
    factory: Callable[[], asyncio.Protocol],
) -> None:
    loop = asyncio.get_running_loop()
    name = address.host if context else None
    async with asyncio.timeout(timeout_s):
        transport, _ = await loop.create_connection(factory, host, address.port, ssl=context, server_hostname=name)
    sock = transport.get_extra_info("socket")
    for level, option, value in (
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, PROBE_AFTER_S),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, PROBE_EVERY_S),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES),
    ):
        sock.setsockopt(level, option, value)
