"""Who is slow holds up whoever has something for him, and the platform keeps next to nothing of it."""

import asyncio
import os
from pathlib import Path

from broker.engines.address import EngineAddress
from tests.broker.engines.faults import Fault, has
from tests.broker.engines.stage import EVERY, Engine, nothing_more, subscribe
from tests.broker.rig import Client, Rig, connect, running
from tests.support.mqtt_server import Peer, scripted_server
from tests.support.waiting import until
from wire.mqtt import Publish

PIECE = b"x" * 50_000
PIECES = 1000
MOST_KEPT = 16 << 20
PAGE = os.sysconf("SC_PAGE_SIZE")


def memory() -> int:
    """What this process has in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


async def pour(client: Client, topic: str) -> None:
    """Publish 50 MB, as fast as it is taken."""
    for _ in range(PIECES):
        client.send(Publish(topic, PIECE))
        await client.writer.drain()


@EVERY
async def test_subscriber_that_stops_reading_costs_next_to_nothing(rig: Rig, engine: Engine) -> None:
    async with await rig.login(connect("d2")) as deaf, await rig.login() as client:
        await subscribe(deaf, ("flood", 0))
        deaf.writer.transport.pause_reading()  # type: ignore[attr-defined]
        before = memory()
        await pour(client, "flood")
        await nothing_more(client)
        assert memory() - before < MOST_KEPT
        cut = has(engine, Fault.CUTS_WHO_STOPS_READING)
        assert set(await rig.sessions()) == ({"d1"} if cut else {"d1", "d2"})
    reasons = [one["reason"] for one in rig.records("detached")]
    assert reasons.count("slow_consumer") == cut
    assert (await rig.statistics())["internal_errors"] == 0


class Deaf:
    """A broker that lets a client in, and reads on when it may."""

    def __init__(self) -> None:
        self.may = asyncio.Event()

    async def __call__(self, peer: Peer) -> None:
        await peer.accept()
        await self.may.wait()


async def stalled(rig: Rig, which: str = "bytes_in") -> int:
    """Wait until the platform reads, or writes, no more; return how much it has."""
    before, taken = -1, 0
    while taken != before:
        before, taken = taken, int((await rig.statistics())[which])
    return taken


async def test_engine_that_stops_reading_holds_up_its_client_and_loses_nothing(tmp_path: Path) -> None:
    deaf = Deaf()
    async with scripted_server(deaf) as server:
        engine = EngineAddress.parse(f"mqtt://127.0.0.1:{server.port}")
        async with running(tmp_path, engine=engine, linger_s=0.2, stuck_s=0.02) as rig:
            await rig.provision("d1")
            async with await rig.login() as client, asyncio.TaskGroup() as tasks:
                before = memory()
                pouring = tasks.create_task(pour(client, "flood"))
                assert await stalled(rig) < PIECES * len(PIECE) // 2
                assert not pouring.done()
                assert memory() - before < MOST_KEPT
                deaf.may.set()
                peer = server.peers[0]
                await until(lambda: len(peer.packets) == 1 + PIECES, "all of it arrives", within_s=20.0)


async def test_client_that_an_engine_holds_up_can_be_cut(tmp_path: Path) -> None:
    async with scripted_server(Deaf()) as server:
        engine = EngineAddress.parse(f"mqtt://127.0.0.1:{server.port}")
        async with running(tmp_path, engine=engine, linger_s=0.2, stuck_s=0.02) as rig:
            await rig.provision("d1")
            async with await rig.login() as client, asyncio.TaskGroup() as tasks:
                pouring = tasks.create_task(pour(client, "flood"))
                await stalled(rig)
                await rig.reset(force_disconnect=True)
                await rig.record("detached", reason="forced_reset")
                pouring.cancel()


async def flooding(peer: Peer) -> None:
    """The script of a broker that has more for a client than that wants to read at a time."""
    await peer.accept()
    for _ in range(PIECES // 4):
        await peer.send(Publish("flood", PIECE))


async def test_client_that_reads_on_gets_all_that_the_engine_had_meanwhile(tmp_path: Path) -> None:
    async with scripted_server(flooding) as server:
        engine = EngineAddress.parse(f"mqtt://127.0.0.1:{server.port}")
        async with running(tmp_path, engine=engine, linger_s=0.2, stuck_s=0.02) as rig:
            await rig.provision("d1")
            async with await rig.login() as client:
                client.writer.transport.pause_reading()  # type: ignore[attr-defined]
                before = memory()
                await stalled(rig, "bytes_out")
                assert memory() - before < MOST_KEPT
                client.writer.transport.resume_reading()  # type: ignore[attr-defined]
                for _ in range(PIECES // 4):
                    assert await client.receive() == Publish("flood", PIECE)


async def test_client_that_goes_while_its_engine_holds_it_up_is_not_kept(tmp_path: Path) -> None:
    """Nobody reads from it, and so nobody sees its end: it is gone when it has been silent for too long."""
    deaf = Deaf()
    async with scripted_server(deaf) as server:
        engine = EngineAddress.parse(f"mqtt://127.0.0.1:{server.port}")
        soon = {"keepalive_factor": 0.02, "sweep_s": 0.01, "linger_s": 0.2, "stuck_s": 0.02}
        async with running(tmp_path, engine=engine, **soon) as rig:
            await rig.provision("d1")
            async with await rig.login() as client, asyncio.TaskGroup() as tasks:
                pouring = tasks.create_task(pour(client, "flood"))
                await stalled(rig)
                pouring.cancel()
            await rig.record("detached", reason="keepalive")
            deaf.may.set()
