"""Having a broker forget: how it goes with one that does, and with one that does not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from broker.engines.address import EngineAddress
from broker.engines.purge import Purge
from tests.broker.engines.stage import enter, persistent
from tests.broker.rig import Rig, connect, running
from tests.support.mqtt_server import Peer, Script, accepting, scripted_server, silent
from tests.support.waiting import until
from wire.mqtt import ConnAck, Connect, Disconnect

GREETING = Connect("d1", "gate", b"pass")


async def purge_with(script: Script) -> tuple[Purge, Peer]:
    async with scripted_server(script) as server:
        purge = Purge(GREETING)
        await asyncio.get_running_loop().create_connection(lambda: purge, "127.0.0.1", server.port)
        await asyncio.wait((purge.done,))
        purge.end()
        await until(server.peers[0].gone.is_set, "it hangs up")
        return purge, server.peers[0]


async def test_clean_session_is_begun_and_ended() -> None:
    purge, peer = await purge_with(accepting)
    assert purge.done.exception() is None
    assert peer.packets == [GREETING, Disconnect()]


async def refusing(peer: Peer) -> None:
    await peer.take(Connect)
    await peer.send(ConnAck(5))


async def closing(peer: Peer) -> None:
    await peer.take(Connect)
    peer.finish()


async def babbling(peer: Peer) -> None:
    await peer.take(Connect)
    await peer.send_bytes(b"\x20" + b"\xff" * 5)


@pytest.mark.parametrize(
    ("script", "why"), [(refusing, "CONNACK 0x05"), (closing, "closed"), (babbling, "remaining length")]
)
async def test_broker_that_does_not_take_it_is_an_error(script: Script, why: str) -> None:
    purge, _ = await purge_with(script)
    error = purge.done.exception()
    assert isinstance(error, OSError)
    assert why in str(error)


async def test_purge_that_nobody_waits_for_any_more_fails_unheard() -> None:
    async with scripted_server(silent) as server:
        purge = Purge(GREETING)
        await asyncio.get_running_loop().create_connection(lambda: purge, "127.0.0.1", server.port)
        purge.end()
        await until(server.peers[0].gone.is_set, "it hangs up")
        assert purge.done.cancelled()


class Slow:
    """A broker that answers a purge, its second connection, when it may, and everybody else at once."""

    def __init__(self) -> None:
        self.may = asyncio.Event()
        self.count = 0

    async def __call__(self, peer: Peer) -> None:
        self.count += 1
        if self.count == 2:
            await self.may.wait()
        await peer.accept()


@asynccontextmanager
async def purging(folder: Path, script: Script, **settings: Any) -> AsyncIterator[tuple[Rig, list[Peer]]]:
    """A platform whose device has left its state with a broker, and was deleted and made again."""
    async with scripted_server(script) as server:
        engine = EngineAddress.parse(f"mqtt://127.0.0.1:{server.port}")
        async with running(folder, engine=engine, linger_s=0.2, stuck_s=0.02, **settings) as rig:
            await rig.provision("d1")
            client, _ = await enter(rig, persistent())
            assert (await rig.call("DELETE", "/v5/iot/p/devices/d1")).status == 204
            client.writer.close()
            await rig.provision("d1")
            await until(lambda: len(server.peers) == 2, "the broker is to forget the device")
            yield rig, server.peers


async def test_new_session_waits_for_the_purge(tmp_path: Path) -> None:
    slow = Slow()
    async with purging(tmp_path, slow) as (rig, peers), await rig.client() as client:
        client.send(connect())
        for _ in range(3):
            await rig.statistics()
        assert len(peers) == 2
        slow.may.set()
        assert await client.receive() == ConnAck(0)
        assert peers[1].packets == [Connect("d1"), Disconnect()]
        assert peers[2].packets == [Connect("d1", keepalive=0)]


class Forgetful:
    """A broker that leaves the first purge without an answer."""

    def __init__(self) -> None:
        self.count = 0

    async def __call__(self, peer: Peer) -> None:
        self.count += 1
        await (silent if self.count == 2 else accepting)(peer)


async def test_purge_that_is_not_answered_is_given_up_and_tried_again(tmp_path: Path) -> None:
    async with purging(tmp_path, Forgetful(), engine_timeout_s=0.2) as (_, peers):
        await until(lambda: len(peers) == 3, "it is tried again")
        assert peers[1].gone.is_set(), "the first attempt is no longer open"
        await until(peers[2].gone.is_set, "the second is over")
        assert peers[2].packets == [Connect("d1"), Disconnect()]
