"""Two access processes before one broker: what a device has there follows it from one to the other."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broker.engines.address import EngineAddress
from tests.broker.processes.duo import Duo, running_duo
from tests.broker.processes.test_processes import kept
from tests.broker.rig import PRIMARY, connect
from tests.support.mosquitto import Mosquitto, mosquitto
from wire.mqtt import ConnAck, PubAck, Publish, ReasonCode, SubAck, Subscribe

pytestmark = pytest.mark.peer


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    async with mosquitto(tmp_path) as broker:
        yield broker


@pytest.fixture
async def duo(tmp_path: Path, broker: Mosquitto) -> AsyncIterator[Duo]:
    async with running_duo(tmp_path, engine=EngineAddress.parse(f"mqtt://127.0.0.1:{broker.port}")) as duo:
        await duo.rig.provision("d1", "d2")
        yield duo


async def test_messages_and_cuts_go_as_with_one_process(duo: Duo) -> None:
    first, second = duo.pids
    async with await duo.login(first) as client, await duo.login(second, connect("d2")) as other:
        client.send(Subscribe(1, (("custom/news", 1),)))
        assert await client.receive() == SubAck(1, (1,))
        other.send(Publish("custom/news", b"hello", 1, 7))
        assert await other.receive() == PubAck(7)
        assert (await client.receive()).payload == b"hello"
        assert set(await duo.rig.sessions()) == {"d1", "d2"}
        assert (await duo.rig.reset(secret=PRIMARY, force_disconnect=True)).status == 200
        assert await client.rest() == []
        assert set(await duo.rig.sessions()) == {"d2"}
    assert [one["cut"] for one in duo.rig.records("reset")] == [True]


async def test_take_over_by_the_other_process_is_one_and_no_end_of_the_engine(duo: Duo) -> None:
    first, second = duo.pids
    async with await duo.login(first, connect(level=5)) as old, await duo.login(second, connect(level=5)):
        assert await old.farewell() == ReasonCode.SESSION_TAKEN_OVER
    assert next(one["reason"] for one in duo.rig.records("detached")) == "take_over"


async def test_what_the_broker_keeps_is_found_and_forgotten_by_either(duo: Duo, broker: Mosquitto) -> None:
    first, second = duo.pids
    async with await duo.login(first, kept()) as client:
        client.send(Subscribe(1, (("custom/news", 1),)))
        assert isinstance(await client.receive(), SubAck)
    await duo.rig.record("detached")
    await broker.publish("custom/news", "while away", qos=1)
    client, connack = await duo.enter(second, kept())
    async with client:
        assert connack.session_present
        got = await client.receive()
        assert isinstance(got, Publish)
        assert got.payload == b"while away"
    answer = await duo.rig.call("DELETE", "/v5/iot/p/devices/d1")
    assert answer.status == 204
    await duo.rig.provision("d1")
    client, connack = await duo.enter(first, kept())
    async with client:
        assert not connack.session_present


async def test_engine_that_is_down_refuses_at_both_and_leaves_no_session(duo: Duo, broker: Mosquitto) -> None:
    await broker.stop()
    for pid in duo.pids:
        async with await duo.client(pid) as client:
            client.send(connect())
            answer = await client.receive()
            assert isinstance(answer, ConnAck)
            assert answer.code == 3
    assert await duo.rig.sessions() == {}
    await broker.start()
    for pid in duo.pids:
        async with await duo.login(pid):
            async with asyncio.timeout(5):
                while not await duo.rig.sessions():
                    await asyncio.sleep(0)
