"""An engine that ends and comes back, and one that outlives the platform."""

from pathlib import Path

import pytest

from tests.broker.engines.stage import (
    Engine,
    command,
    engines,
    enter,
    message,
    nothing_more,
    persistent,
    publish,
    subscribe,
)
from tests.broker.engines.test_unavailable import relaying, told
from tests.broker.rig import BOTH_VERSIONS, Rig, connect
from tests.support.mosquitto import mosquitto
from tests.support.mqtt_server import Peer, scripted_server
from wire.mqtt import Connect, Disconnect


@pytest.mark.peer
async def test_engine_that_comes_back_is_told_and_used(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker:
        await broker.kill()  # it may not hear another signal yet
        async with relaying(tmp_path, f"mqtt://127.0.0.1:{broker.port}", engine_timeout_s=5.0) as rig:
            assert await rig.refusal(connect()) == 3
            await broker.start()
            async with await rig.login() as client:
                await nothing_more(client)
            async with await rig.login(connect("d2")) as client:
                await nothing_more(client)
            assert [state for state, _ in told(rig)] == ["down", "up"]


@engines("mosquitto", "mosquitto-unix")
@BOTH_VERSIONS
async def test_engine_that_is_killed_ends_its_sessions(rig: Rig, engine: Engine, level: int) -> None:
    assert engine.mosquitto is not None
    async with await rig.login(connect(level=level)) as one, await rig.login(connect("d2")) as two:
        await nothing_more(one)
        await engine.mosquitto.kill()
        assert await one.farewell() is None
        assert await two.rest() == []
        assert {one["reason"] for one in rig.records("detached")} == {"engine_closed"}
        assert await rig.refusal(connect()) == 3
        await engine.mosquitto.start()
        await engine.serves()
        async with await rig.login(connect(level=level)) as client:
            await nothing_more(client)
    assert [state for state, _ in told(rig)] == ["down", "up"]


@engines("mosquitto")
async def test_engine_that_was_started_anew_has_forgotten_and_its_client_is_told(rig: Rig, engine: Engine) -> None:
    assert engine.mosquitto is not None
    client, _ = await enter(rig, persistent())
    await subscribe(client, ("talk", 1), ("$oc/devices/d1/#", 1))
    await engine.mosquitto.kill()
    assert await client.rest() == []
    client.writer.close()
    await engine.mosquitto.start()
    await engine.serves()
    client, answer = await enter(rig, persistent())
    async with client, await rig.login(connect("d2")) as other:
        assert not answer.session_present
        await publish(other, "talk", b"unheard")
        await command(rig)
        assert (await message(client)).qos == 0, "nothing is left of what it had subscribed to"
        await nothing_more(client)


@engines("mosquitto")
async def test_state_of_an_earlier_run_is_no_more(tmp_path: Path, rig: Rig, engine: Engine) -> None:
    """The broker has kept it; but the platform does not know the rest of it any more."""
    client, _ = await enter(rig, persistent())
    await subscribe(client, ("talk", 1))
    async with client:
        client.send(Disconnect())
        assert await client.rest() == []
    (tmp_path / "later").mkdir()
    async with relaying(tmp_path / "later", engine.url, engine_timeout_s=5.0) as later:
        async with await later.login(connect("d2")) as other:
            await publish(other, "talk", b"of the earlier run")
            client, answer = await enter(later, persistent())
            async with client:
                assert not answer.session_present
                await publish(other, "talk", b"unheard")
                await nothing_more(client)
                await subscribe(client, ("talk", 1))
        client, answer = await enter(later, persistent())
        async with client:
            assert answer.session_present


async def never_forgetting(peer: Peer) -> None:
    """The script of a broker that has a session of everybody, whatever it is asked for."""
    await peer.accept(session_present=True)


async def test_broker_that_never_forgets_is_asked_once(tmp_path: Path) -> None:
    async with (
        scripted_server(never_forgetting) as server,
        relaying(tmp_path, f"mqtt://127.0.0.1:{server.port}", engine_timeout_s=5.0) as rig,
    ):
        client, answer = await enter(rig, persistent())
        client.writer.close()
        assert not answer.session_present
        asked = [peer.packets[0] for peer in server.peers]
    ours = Connect("d1", keepalive=0, clean_session=False)
    assert asked == [ours, Connect("d1"), ours]
