"""A platform of LwM2M that does as a test says, and a bench for links to it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from simulator.credentials import EndpointCredentials
from simulator.links.link import Endpoint
from simulator.links.lwm2m.engine import Lwm2mEngine
from simulator.links.lwm2m.options import Lwm2mOptions
from simulator.links.outbox import Outbox
from simulator.scheduler import Scheduler, cancelled
from tests.support.descriptors import open_sockets
from tests.support.link_bench import Opened as Attempt
from tests.support.link_owner import RecordingOwner
from tests.support.waiting import turns, until
from wire.coap import CoapPeer, Code, Event, Message, Request, Response
from wire.dtls import DtlsListener, Ended, Opened, Received, Server

EP, KEY = "868333030000001", bytes(range(16))
Address = tuple[str, int]
Answers = Callable[[Message], Message | None]


def obliging(request: Message) -> Message:
    """Take in everybody, under one location."""
    match request.opt.uri_path, request.code:
        case ("rd",), Code.POST:
            return Message(code=Code.CREATED, location_path=("rd", "a1"))
        case ("rd", "a1"), Code.POST:
            return Message(code=Code.CHANGED)
        case ("rd", "a1"), Code.DELETE:
            return Message(code=Code.DELETED)
    return Message(code=Code.NOT_FOUND)


class ScriptedPlatform(asyncio.DatagramProtocol):
    """`answers` decides over every request, None by silence; deaf, it drops every datagram.

    `requests` are those of devices, `responses` what devices answered or reported, in order; `ended` are sessions.
    """

    def __init__(self, key: bytes | None, answers: Answers) -> None:
        self.answers = answers
        self.is_deaf = False
        self.requests: list[Message] = []
        self.responses: list[Message] = []
        self.ended: list[str | None] = []
        self.peers: dict[Any, CoapPeer] = {}
        self.listener: DtlsListener | None = None
        if key is not None:
            self.listener = DtlsListener(Server({EP.encode(): key}.get, b"cookie key"), self.put)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.port: int = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: Address) -> None:
        if self.is_deaf:
            return
        if self.listener is None:
            self._take(data, addr, lambda answer: self.put(answer, addr))
            return
        for event in self.listener.receive(data, addr, self._now()):
            match event:
                case Opened():
                    self.peers.pop(addr, None)
                case Received(_, _, said):
                    self._take(said, addr, partial(self.listener.send, addr))
                case Ended(_, session):
                    self.ended.append(session.end)

    def put(self, datagram: bytes, peer: Any) -> None:
        self.transport.sendto(datagram, peer)

    @property
    def peer(self) -> CoapPeer:
        """The device that came last."""
        return list(self.peers.values())[-1]

    def ask(self, code: Code, *path: str, **more: Any) -> bytes:
        """Send the last device a request; gives its token."""
        return self.peer.request(Message(code=code, uri_path=path, **more), self._now())

    def observe(self) -> bytes:
        return self.ask(Code.GET, "19", "0", "0", observe=0)

    async def answer_to(self, token: bytes) -> Message:
        """Wait for a device's answer to a request."""
        await until(lambda: [one for one in self.responses if one.token == token], "an answer")
        return next(one for one in self.responses if one.token == token)

    def reports(self) -> list[bytes]:
        """What was reported; the answer to the observation is empty."""
        return [one.payload for one in self.responses if one.opt.observe is not None and one.payload]

    def asked(self, code: Code, *path: str) -> list[Message]:
        return [one for one in self.requests if one.code is code and one.opt.uri_path == path]

    def _take(self, data: bytes, addr: Address, send: Callable[[bytes], None]) -> None:
        peer = self.peers.setdefault(addr, CoapPeer(send, 1, lambda: 0.0))
        for event in peer.receive(data, self._now()):
            self._serve(peer, event)

    def _serve(self, peer: CoapPeer, event: Event) -> None:
        match event:
            case Request(message):
                self.requests.append(message)
                if answer := self.answers(message):
                    peer.respond(message, answer, self._now())
            case Response(_, message):
                self.responses.append(message)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


@dataclass
class Lwm2mBench:
    """Opens links of one engine to a scripted platform."""

    engine: Lwm2mEngine
    platform: ScriptedPlatform
    scheduler: Scheduler
    openings: list[Attempt] = field(default_factory=list)

    def open(self, key: bytes | None, attempt: int = 1, outbox: Outbox | None = None, endpoint: str = EP) -> Attempt:
        owner, outbox = RecordingOwner(attempt), Outbox() if outbox is None else outbox
        link = self.engine.open(owner, attempt, EndpointCredentials(endpoint, key), outbox)
        self.openings.append(Attempt(link, owner, outbox))
        return self.openings[-1]

    async def check(self, before: set[Any]) -> None:
        """Wait until every link has ended, then see that each ended by the rules and left nothing behind."""
        await until(lambda: not self.engine.open_links, "no open link")
        await turns()
        for one in self.openings:
            one.owner.check(closed=one.closed)
        assert open_sockets() - before == set(), "a socket was left open"


@contextlib.asynccontextmanager
async def lwm2m_bench(
    key: bytes | None,
    answers: Answers = obliging,
    options: Lwm2mOptions | None = None,
    port: int | None = None,
) -> AsyncIterator[Lwm2mBench]:
    """Open links to a scripted platform, or to another `port`; the rules are checked when the bench is left."""
    loop = asyncio.get_running_loop()
    fallen_through: list[object] = []
    loop.set_exception_handler(lambda _loop, context: fallen_through.append(context))
    transport, platform = await loop.create_datagram_endpoint(
        lambda: ScriptedPlatform(key, answers), local_addr=("127.0.0.1", 0)
    )
    scheduler, before = Scheduler(loop), open_sockets()
    endpoint = Endpoint("127.0.0.1", platform.port if port is None else port)
    bench = Lwm2mBench(Lwm2mEngine(scheduler, endpoint, options or Lwm2mOptions()), platform, scheduler)
    try:
        yield bench
        await bench.check(before)
        assert all(timer[-1] is cancelled for timer in scheduler._heap), "an ended link is kept by a timer"
    finally:
        scheduler.clear()
        transport.close()
    assert not fallen_through, f"fell through to the loop: {fallen_through}"
