"""A link engine, a scripted server, and the rules of `simulator.links.link` checked when the bench is left."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from simulator.credentials import MqttCredentials
from simulator.device.events import Accepted, LinkEvent
from simulator.links.link import Endpoint, Link, LinkEngine, LinkOptions
from simulator.links.outbox import Message, Outbox
from simulator.scheduler import Scheduler, cancelled
from tests.support.descriptors import Descriptor, open_sockets
from tests.support.link_owner import RecordingOwner
from tests.support.mqtt_server import Script, ScriptedServer, scripted_server
from tests.support.tls import OverTls, contexts
from tests.support.waiting import turns, until

EngineFactory = Callable[[Scheduler, Endpoint, LinkOptions], LinkEngine]

CREDENTIALS = MqttCredentials("d1_0_0_2025010100", "d1", "p" * 64)


@dataclass(slots=True)
class Opened:
    """One attempt on the bench."""

    link: Link
    owner: RecordingOwner
    outbox: Outbox
    closed: bool = False

    def close(self) -> None:
        """Close the link; from now on it must be silent."""
        self.closed = True
        self.link.close()


class Bench:
    """Opens links of one engine; remembers what the process held before the first of them."""

    def __init__(self, engine: LinkEngine, server: ScriptedServer) -> None:
        self.engine = engine
        self.server = server
        self.opened: list[Opened] = []
        self._before = open_sockets()

    def open(self, attempt: int = 1, outbox: Outbox | None = None, *, look_at_descriptors: bool = True) -> Opened:
        """Start an attempt; with a look at the descriptors in the moment of its terminal event."""
        owner = RecordingOwner(attempt, self._look if look_at_descriptors else lambda _event: None)
        outbox = Outbox() if outbox is None else outbox
        link = self.engine.open(owner, attempt, CREDENTIALS, outbox)
        self.opened.append(Opened(link, owner, outbox))
        return self.opened[-1]

    def link_descriptors(self) -> set[Descriptor]:
        """What the links hold: all that is neither from before nor the server's end."""
        new = open_sockets() - self._before
        return {one for one in new if one[0] not in self.server.descriptors}

    async def check(self) -> None:
        """Wait until every link has ended, then see that each ended by the rules and left nothing behind."""
        await until(lambda: not self.engine.open_links, f"0 of {self.engine.open_links} links open")
        await turns()
        assert self.engine.open_links == 0, f"{self.engine.open_links} links counted after the end of all"
        for opened in self.opened:
            opened.owner.check(closed=opened.closed)
        assert not (held := self.link_descriptors()), f"{held} leaked"

    def _look(self, event: LinkEvent) -> None:
        if not isinstance(event, Accepted):
            held = self.link_descriptors()
            assert len(held) <= self.engine.open_links, f"{event} came while {held} was still open"


@contextlib.asynccontextmanager
async def link_bench(
    factory: EngineFactory, *scripts: Script, options: LinkOptions | None = None, port: int | None = None
) -> AsyncIterator[Bench]:
    """Open links against a scripted server, or against another `port`; a look that fails fails the test."""
    loop = asyncio.get_running_loop()
    fallen_through: list[object] = []
    loop.set_exception_handler(lambda _loop, context: fallen_through.append(context))
    context = contexts()[0] if isinstance(factory, OverTls) else None
    async with scripted_server(*scripts, context=context) as server:
        others = asyncio.all_tasks()
        scheduler = Scheduler(loop)
        endpoint = Endpoint("127.0.0.1", server.port if port is None else port)
        bench = Bench(factory(scheduler, endpoint, options or LinkOptions()), server)
        yield bench
        await bench.check()
        assert all(timer[-1] is cancelled for timer in scheduler._heap), "an ended link is kept by a timer"
        scheduler.clear()
        left = asyncio.all_tasks() - others - server.running
        assert not left, f"{left} left over"
    assert not fallen_through, f"fell through to the loop: {fallen_through}"


def messages(count: int, first: int = 1) -> list[Message]:
    """Uplinks with sequence numbers from `first`."""
    return [Message(seq, f"up/{seq}", b'{"seq":%d}' % seq) for seq in range(first, first + count)]


def outbox_of(*waiting: Message) -> Outbox:
    outbox = Outbox()
    for message in waiting:
        outbox.add(message)
    return outbox
