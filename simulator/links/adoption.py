"""Makes a connected socket the transport of a link."""

import asyncio
import socket
from typing import Protocol, cast


class Adoptable(Protocol):
    """An asyncio.Protocol that also wants to hear when the loop owns its socket for good."""

    def connection_lost(self, exc: Exception | None) -> None: ...

    def adopted(self) -> None: ...


async def adopt(link: Adoptable, sock: socket.socket) -> None:
    """Hand the socket over; it takes two turns of the loop, and ends in `adopted` or in `connection_lost`."""
    protocol = cast("asyncio.Protocol", link)
    try:
        await asyncio.get_running_loop().create_connection(lambda: protocol, sock=sock)
    except OSError as error:  # the peer was gone before the transport was made
        sock.close()
        link.connection_lost(error)
    else:
        link.adopted()
