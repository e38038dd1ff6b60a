"""What only the native engine promises: its keepalive to the second, on virtual time, and odd ends of TCP."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from simulator.device.events import Accepted, LinkLost, Unreachable
from simulator.links.dialler import Dialler
from simulator.links.link import Endpoint, Link, LinkOptions
from simulator.links.native import NativeEngine
from simulator.links.outbox import Outbox
from simulator.links.tcp import LINGER_S
from simulator.scheduler import Scheduler
from tests.support.link_bench import CREDENTIALS, link_bench
from tests.support.link_owner import RecordingOwner
from tests.support.mqtt_server import Peer, Script, accepting, scripted_server, silent
from tests.support.ports import unused_port
from tests.support.virtual_time import VirtualTime
from tests.support.waiting import turns, until
from wire.mqtt import Disconnect, PingReq, PingResp, Publish

KEEPALIVE_S = 100
PING_AT_S = 90.0
ANSWER_WITHIN_S = 50.0


@dataclass(slots=True)
class Line:
    """An open native link on virtual time, and the server's end of it."""

    time: VirtualTime
    engine: NativeEngine
    link: Link
    owner: RecordingOwner
    peer: Peer

    async def sees(self, *packets: object) -> None:
        """Wait until these are all that the server received after CONNECT."""
        await until(lambda: len(self.peer.packets) > len(packets), f"{packets} arrive")
        assert self.peer.packets[1:] == list(packets)

    async def hears(self, *packets: Publish | PingResp) -> None:
        """Let the server send packets, the last of them a marker that tells when all have arrived."""
        arrived = len(self.owner.told("arrived"))
        await self.peer.send(*packets, Publish("marker"))
        await until(lambda: len(self.owner.told("arrived")) > arrived, "the marker arrives")


@contextlib.asynccontextmanager
async def line(script: Script = accepting, keepalive_s: int = KEEPALIVE_S) -> AsyncIterator[Line]:
    async with scripted_server(script) as server:
        time = VirtualTime()
        options = LinkOptions(keepalive_s)
        scheduler = Scheduler(time)  # type: ignore[arg-type]
        engine = NativeEngine(scheduler, Endpoint("127.0.0.1", server.port), options)
        owner = RecordingOwner(1)
        link = engine.open(owner, 1, CREDENTIALS, Outbox())
        await owner.accepted()
        yield Line(time, engine, link, owner, server.peers[0])
        if owner.terminal is None:
            link.close()
        await until(lambda: not engine.open_links, "the link is closed")


async def test_ping_goes_out_at_nine_tenths_of_the_keepalive() -> None:
    async with line() as on:
        on.time.advance(PING_AT_S - 0.01)
        await on.hears()
        assert on.peer.packets[1:] == []


async def test_quiet_link_pings_in_time() -> None:
    async with line() as on:
        on.time.advance(PING_AT_S + 0.01)
        await on.sees(PingReq())
        await on.hears(PingResp())
        on.time.advance(PING_AT_S + 0.01)
        await on.sees(PingReq(), PingReq())
        assert on.owner.terminal is None


async def test_traffic_both_ways_puts_the_ping_off() -> None:
    async with line() as on:
        on.time.advance(60)
        on.link.publish("up", b"")
        await on.hears()
        on.time.advance(60)
        await on.sees(Publish("up"))
        on.time.advance(PING_AT_S - 60 + 0.01)
        await on.sees(Publish("up"), PingReq())


async def test_traffic_one_way_does_not_put_the_ping_off() -> None:
    async with line() as on:
        on.time.advance(60)
        on.link.publish("up", b"")
        on.time.advance(31)
        await on.sees(Publish("up"), PingReq())


async def test_one_ping_is_under_way_at_a_time() -> None:
    async with line() as on:
        on.time.advance(PING_AT_S + ANSWER_WITHIN_S - 0.01)
        await on.sees(PingReq())
        assert on.owner.terminal is None
        on.time.advance(0.02)
        assert await on.owner.ended() == LinkLost(1, "no answer to a ping")
        assert on.peer.packets[1:] == [PingReq()]


async def test_answer_in_time_keeps_the_link() -> None:
    async with line() as on:
        on.time.advance(PING_AT_S + 0.01)
        await on.sees(PingReq())
        on.time.advance(ANSWER_WITHIN_S - 1)
        await on.hears(PingResp())
        on.time.advance(2)
        await turns()
        assert on.owner.events == [Accepted(1)]


async def test_other_traffic_is_no_answer_to_a_ping() -> None:
    async with line() as on:
        on.time.advance(PING_AT_S + 0.01)
        await on.sees(PingReq())
        await on.hears()
        on.time.advance(ANSWER_WITHIN_S + 0.01)
        assert await on.owner.ended() == LinkLost(1, "no answer to a ping")


async def test_keepalive_of_zero_never_pings() -> None:
    async with line(keepalive_s=0) as on:
        on.time.advance(10_000_000)
        await on.hears()
        assert on.peer.packets[1:] == []


async def test_end_leaves_no_ping_behind() -> None:
    async with line() as on:
        on.link.cut("network down")
        assert await on.owner.ended() == LinkLost(1, "network down")
        on.time.advance(1000)
        assert on.owner.events == [Accepted(1), LinkLost(1, "network down")]


async def test_closed_link_lingers_for_a_peer_that_reads_nothing_and_no_longer() -> None:
    async def deaf(peer: Peer) -> None:
        await peer.accept()
        await asyncio.Event().wait()

    async with line(deaf) as on:
        on.link.publish("up", bytes(32 * 1024 * 1024))
        on.link.close()
        on.time.advance(LINGER_S - 0.01)
        await turns(50)
        assert on.engine.open_links == 1
        on.time.advance(0.02)


async def test_closing_writes_everything_that_was_published() -> None:
    payload = bytes(8 * 1024 * 1024)
    async with line() as on:
        on.link.publish("up", payload)
        on.link.close()
        await on.sees(Publish("up", payload), Disconnect())


async def test_connection_to_oneself_is_unreachable() -> None:
    """Towards a port of the ephemeral range where nobody listens, the kernel may give that very port as the source."""
    async with link_bench(NativeEngine, silent) as bench:
        port = unused_port()
        bench.engine.dialler = Dialler(asyncio.get_running_loop(), Endpoint("127.0.0.1", port))
        bench.engine.dialler._port_range = (port << 16 | port).to_bytes(4, "little")
        assert isinstance(await bench.open().owner.ended(), Unreachable)
