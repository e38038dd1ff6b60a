"""The gate's listening sockets: accept, look after all deadlines in one sweep, and let everybody go at the end."""

import asyncio
import socket
import ssl

from broker.access.link import Link, Links
from broker.access.tls import TlsChannel
from broker.sessions import Ending

BACKLOG = 4096
TURNS_TO_A_LINK = 3
"""So many turns of the loop lie, at most, between a connection that it accepts and `connection_made`."""


class Listener:
    """Owns the listening sockets and every link that came through them."""

    def __init__(self, links: Links) -> None:
        self.links = links
        self._servers: list[asyncio.Server] = []
        self._sweeper: asyncio.TimerHandle | None = None

    async def start(self, listening: socket.socket, secure: tuple[socket.socket, ssl.SSLContext] | None = None) -> None:
        """Take clients in the clear, and others over TLS."""
        links, loop = self.links, self.links.loop
        self._servers.append(await loop.create_server(lambda: Link(links), sock=listening, backlog=BACKLOG))
        if secure is not None:
            sock, context = secure
            made = loop.create_server(lambda: Link(links, TlsChannel(context)), sock=sock, backlog=BACKLOG)
            self._servers.append(await made)
        self._sweeper = loop.call_later(links.settings.sweep_s, self._sweep)

    async def stop(self) -> None:
        """Take no more clients, cut everybody, and wait until the last bytes are out."""
        if self._sweeper is None:
            return
        links = self.links
        links.is_stopping = True
        self._sweeper.cancel()
        for server in self._servers:
            server.close()
        for link in list(links.open):
            link.cut(Ending.STOPPING)
        for _ in range(TURNS_TO_A_LINK):
            await asyncio.sleep(0)
        while links.open:
            links.all_gone.clear()
            await links.all_gone.wait()

    def _sweep(self) -> None:
        links = self.links
        now = links.clock.now()
        for link in [one for one in links.open if one.deadline < now]:
            link.expire()
        links.handler.sweep()
        self._sweeper = links.loop.call_later(links.settings.sweep_s, self._sweep)
