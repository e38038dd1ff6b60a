"""Having a broker forget: how it goes with one that does, and with one that does not."""

import asyncio
from pathlib import Path

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


class Forgetful:
    """A broker that serves the device's session, and leaves the first purge without an answer."""

    def __init__(self) -> None:
        self.served: list[Peer] = []

    async def __call__(self, peer: Peer) -> None:
        self.served.append(peer)
        await (silent if len(self.served) == 2 else accepting)(peer)


async def test_purge_that_is_not_answered_is_tried_again_and_a_new_session_waits(tmp_path: Path) -> None:
    broker = Forgetful()
    async with scripted_server(broker) as server:
        engine = EngineAddress.parse(f"mqtt://127.0.0.1:{server.port}")
        async with running(tmp_path, engine=engine, engine_timeout_s=0.2, linger_s=0.2, stuck_s=0.02) as rig:
            await rig.provision("d1")
            client, _ = await enter(rig, persistent())
            await deleted_while_away(rig)
            client.writer.close()
            await until(lambda: len(server.peers) == 3, "it is tried again")
            assert server.peers[1].gone.is_set(), "the first attempt is no longer open"
            assert [type(one) for one in server.peers[1].packets] == [Connect]
            async with await rig.login(connect()):
                assert server.peers[2].packets == [Connect("d1"), Disconnect()]
                assert server.peers[3].packets[0] == Connect("d1", keepalive=0)


async def deleted_while_away(rig: Rig) -> None:
    assert (await rig.call("DELETE", "/v5/iot/p/devices/d1")).status == 204
    await rig.provision("d1")
