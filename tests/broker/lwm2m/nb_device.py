"""A bare NB-IoT device for tests: it says what it is told to, in the clear or over DTLS."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiocoap import Code, Message

from tests.broker.rig import DEADLINE_S
from wire.coap import CoapPeer, Request, Response, Type, decode
from wire.dtls import Client, Session

KEY = "00112233445566778899aabbccddeeff"
NEW_KEY = "ffeeddccbbaa99887766554433221100"
TURN_S = 0.02
PING, RESET = bytes.fromhex("4000"), bytes.fromhex("7000")


class NbDevice(asyncio.DatagramProtocol):
    """`asked` holds the platform's requests; each is answered as `answers` says, or as an observation is.

    While it is asleep the platform's requests are lost on it: they go to `missed`.
    """

    def __init__(self, session: Session | None) -> None:
        self.session = session
        self.asked: list[Message] = []
        self.missed: list[Message] = []
        self.asleep = False
        self.to_lose = 0
        self.received = 0
        self._pinged = self._ponged = 0
        self.answers: dict[Code, Code] = {Code.PUT: Code.CHANGED}
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[bytes, asyncio.Future[Message]] = {}
        self._news = asyncio.Event()
        self.coap = CoapPeer(self._say, 100, lambda: 0.0)

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._flush()

    def datagram_received(self, data: bytes, _addr: Any) -> None:
        self.received += 1
        if self.to_lose:
            self.to_lose -= 1
            return
        for said in [data] if self.session is None else self.session.receive(data):
            self._take(said)
        self._flush()
        self._news.set()

    def begin_session(self, identity: str, key: str = KEY) -> None:
        """Begin a handshake on the same socket; the platform is not told that the session before is over."""
        self.session = Client().connect(identity.encode(), bytes.fromhex(key))
        self._flush()

    async def handshake(self) -> bool:
        """Shake hands to the end; tell whether the platform has taken the key."""
        assert self.session is not None
        async with asyncio.timeout(DEADLINE_S):
            while not self.session.is_open and self.session.end is None:
                await self.next_news()
        return self.session.is_open

    def ask(self, code: Code, path: str, query: str = "", payload: bytes = b"") -> asyncio.Future[Message]:
        """Send a request without waiting for what may come of it."""
        options = {"uri_path": tuple(path.split("/")), "uri_query": tuple(filter(None, query.split("&")))}
        token = self.coap.request(Message(code=code, payload=payload, **options), self._loop.time())
        self._flush()
        answer = self._waiting[token] = self._loop.create_future()
        return answer

    async def request(self, code: Code, path: str, query: str = "", payload: bytes = b"") -> Message:
        async with asyncio.timeout(DEADLINE_S):
            return await self.ask(code, path, query, payload)

    async def register(self, endpoint: str, more: str = "&lt=300&lwm2m=1.1&b=U") -> str:
        """Register and wait until the platform observes; return the location."""
        answer = await self.request(Code.POST, "rd", f"ep={endpoint}{more}")
        assert answer.code is Code.CREATED, answer
        await self.is_asked()
        return "/".join(answer.opt.location_path)

    def report(self, payload: bytes, number: int, *, confirmable: bool = True) -> None:
        """Notify the observer."""
        message = Message(code=Code.CONTENT, observe=number, payload=payload)
        observed = [one for one in self.asked if one.code is Code.GET]
        self.coap.notify(observed[-1].token, message, self._loop.time(), confirmable=confirmable)
        self._flush()

    async def is_asked(self, count: int = 1, code: Code | None = None) -> list[Message]:
        """Wait until the platform has asked so often, of this code; return what it asked."""
        async with asyncio.timeout(DEADLINE_S):
            while len(asked := [one for one in self.asked if code in (None, one.code)]) < count:
                await self.next_news()
        return asked

    def reject(self, message: Message) -> None:
        """Say that a message means nothing to us."""
        self._say(RESET + message.mid.to_bytes(2))
        self._flush()

    async def ping(self) -> None:
        """Let the platform look at its timers, without showing ourselves to it: what CoAP answers is no news of us."""
        self._pinged = self._pinged % 0xFFFF + 1
        self._say(PING + self._pinged.to_bytes(2))
        self._flush()
        async with asyncio.timeout(DEADLINE_S):
            while self._ponged != self._pinged:
                await self.next_news()

    async def next_news(self) -> None:
        self._news.clear()
        await self._news.wait()

    def _take(self, datagram: bytes) -> None:
        now, message = self._loop.time(), decode(datagram)
        if self.asleep and message.code.is_request():
            self.missed.append(message)
            return
        if message.mtype is Type.RST:
            self._ponged = message.mid
        for event in self.coap.receive(datagram, now):
            match event:
                case Request(message):
                    self.asked.append(message)
                    self.coap.respond(message, self._answer(message), now)
                case Response(token, message):
                    self._waiting.pop(token).set_result(message)

    def _answer(self, message: Message) -> Message:
        if message.code in self.answers:
            return Message(code=self.answers[message.code])
        return Message(code=Code.CONTENT, observe=0)

    def _say(self, datagram: bytes) -> None:
        if self.session is None:
            self._transport.sendto(datagram)
        else:
            self.session.send(datagram)

    def _flush(self) -> None:
        for datagram in self.session.take() if self.session else ():
            self._transport.sendto(datagram)


@asynccontextmanager
async def nb_device(port: int, identity: str | None = None, key: str = KEY, source: int = 0) -> AsyncIterator[NbDevice]:
    """A device on a socket of its own; with an identity it begins a handshake."""
    session = Client().connect(identity.encode(), bytes.fromhex(key)) if identity else None
    transport, device = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: NbDevice(session), local_addr=("127.0.0.1", source), remote_addr=("127.0.0.1", port)
    )
    try:
        yield device
    finally:
        transport.close()
