"""CoAP over UDP, in the clear and over DTLS, for tests with programs that are not ours: an echo, and one request."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from aiocoap import Code, Message

from wire.coap import CoapPeer, Event, Request
from wire.dtls import Client, DtlsListener, Received, Server, Session

Address = tuple[str, int]


class Echo(asyncio.DatagramProtocol):
    """Answers each request with its own path and, over DTLS, the identity that asks; keeps what ended."""

    def __init__(self, key_of: Callable[[bytes], bytes | None] | None) -> None:
        self.events: list[Any] = []
        self.peers: dict[Any, CoapPeer] = {}
        self.listener: DtlsListener | None = None
        if key_of is not None:
            self.listener = DtlsListener(Server(key_of, b"cookie key"), self._send)

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Address) -> None:
        if self.listener is None:
            self._take(data, addr, lambda answer: self._send(answer, addr), b"")
            return
        for event in self.listener.receive(data, addr, asyncio.get_running_loop().time()):
            self.events.append(event)
            if isinstance(event, Received):
                self._take(event.data, addr, partial(self.listener.send, addr), event.session.identity or b"")

    def _send(self, datagram: bytes, peer: Any) -> None:
        self._transport.sendto(datagram, peer)

    def _take(self, data: bytes, addr: Address, send: Callable[[bytes], None], identity: bytes) -> None:
        peer = self.peers.setdefault(addr, CoapPeer(send, 1, lambda: 0.0))
        for event in peer.receive(data, 0.0):
            if isinstance(event, Request):
                path = "/".join(event.message.opt.uri_path).encode()
                peer.respond(event.message, Message(code=Code.CONTENT, payload=b"%s for %s" % (path, identity)), 0.0)


@asynccontextmanager
async def echo(key_of: Callable[[bytes], bytes | None] | None = None) -> AsyncIterator[tuple[Echo, int]]:
    """Serve on a free port of 127.0.0.1; without keys in the clear."""
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(lambda: Echo(key_of), local_addr=("127.0.0.1", 0))
    try:
        yield protocol, transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


class Device(asyncio.DatagramProtocol):
    """One DTLS session of ours and what is said on it."""

    def __init__(self, identity: bytes, key: bytes) -> None:
        self.told: asyncio.Queue[bytes] = asyncio.Queue()
        self.settled = asyncio.Event()
        self.session: Session = Client().connect(identity, key)

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self.flush()

    def datagram_received(self, data: bytes, addr: Address) -> None:
        for said in self.session.receive(data):
            self.told.put_nowait(said)
        self.flush()
        if self.session.is_open or self.session.end is not None:
            self.settled.set()

    def flush(self) -> None:
        for datagram in self.session.take():
            self._transport.sendto(datagram)

    def say(self, data: bytes) -> None:
        self.session.send(data)
        self.flush()

    async def ask(self, path: str) -> list[Event]:
        """Send a request and return the events of the first datagram that comes back."""
        now = asyncio.get_running_loop().time()
        peer = CoapPeer(self.say, 7, lambda: 0.0)
        peer.request(Message(code=Code.GET, uri_path=(path,)), now)
        return peer.receive(await self.told.get(), now)


@asynccontextmanager
async def device(port: int, identity: bytes, key: bytes) -> AsyncIterator[Device]:
    """Connect a socket of its own and begin a handshake."""
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(
        lambda: Device(identity, key), remote_addr=("127.0.0.1", port)
    )
    try:
        yield protocol
    finally:
        protocol.session.close()
        protocol.flush()
        transport.close()
