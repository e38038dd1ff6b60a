"""Guests of an open gate, and a broker that answers as the test says."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from broker.engines.address import EngineAddress
from tests.broker.rig import BOTH_VERSIONS, Rig, connect, running
from tests.support.mqtt_server import Peer, Script, scripted_server
from tests.support.ports import unused_port
from wire.mqtt import (
    ConnAck,
    Connect,
    Disconnect,
    Properties,
    Publish,
    SubAck,
    Subscribe,
    Will,
)

Opening = Callable[[Script], AbstractAsyncContextManager[Rig]]


@asynccontextmanager
async def opened(folder: Path, port: int) -> AsyncIterator[Rig]:
    """Run a platform with an open gate before whatever listens on the port."""
    engine = EngineAddress.parse(f"mqtt://127.0.0.1:{port}")
    async with running(folder, engine=engine, policy="open") as rig:
        await rig.provision("d1")
        yield rig


@pytest.fixture
def before(tmp_path: Path) -> Opening:
    @asynccontextmanager
    async def opening(script: Script) -> AsyncIterator[Rig]:
        async with scripted_server(script) as server, opened(tmp_path, server.port) as rig:
            yield rig

    return opening


def visitor(level: int = 5, **fields: object) -> Connect:
    return Connect(**{"client_id": "visitor", "level": level, **fields})  # type: ignore[arg-type]


@BOTH_VERSIONS
async def test_guest_is_greeted_as_the_broker_greets(before: Opening, level: int) -> None:
    greeted: list[Connect] = []
    offer = Properties(server_keep_alive=30, assigned_client_identifier="x", receive_maximum=7, maximum_packet_size=99)

    async def script(peer: Peer) -> None:
        greeted.append(await peer.take(Connect))
        await peer.send(ConnAck(0, session_present=True, properties=offer))

    asked = visitor(level, clean_session=False, keepalive=5, will=Will("gone", b"x", 2, retain=True))
    async with before(script) as rig, await rig.client() as client:
        client.send(asked)
        answer = await client.receive()
        assert isinstance(answer, ConnAck)
        assert answer.session_present
        assert answer == ConnAck(0, session_present=True, properties=offer if level == 5 else Properties())
    assert greeted == [asked]


@pytest.mark.parametrize("packet", [visitor(), connect(level=5)], ids=["guest", "device"])
async def test_will_on_a_topic_of_the_platform_does_not_reach_the_broker(before: Opening, packet: Connect) -> None:
    wills: list[Will | None] = []

    async def script(peer: Peer) -> None:
        wills.append((await peer.accept()).will)

    async with before(script) as rig:
        for topic in ("$oc/devices/d1/sys/messages/down", "custom"):
            async with await rig.login(replace(packet, will=Will(topic, b"x"))):
                pass
    assert wills == [None, Will("custom", b"x")]


async def test_guest_is_told_the_largest_packet_that_the_gate_takes(before: Opening) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()

    async with before(script) as rig, await rig.client() as client:
        client.send(visitor())
        answer = await client.receive()
        assert isinstance(answer, ConnAck)
        assert answer.properties.maximum_packet_size == rig.platform.settings.max_packet_body + 4


@pytest.mark.parametrize(
    ("level", "answer"),
    [
        (4, ConnAck(2)),
        (5, ConnAck(0x9C, properties=Properties(server_reference="elsewhere", reason_string="full"))),
    ],
)
async def test_guest_is_refused_in_the_brokers_words_and_the_broker_counts_as_well(
    before: Opening, level: int, answer: ConnAck
) -> None:
    async def script(peer: Peer) -> None:
        await peer.take(Connect)
        await peer.send(answer)

    async with before(script) as rig:
        assert await rig.refused(visitor(level)) == answer
        (record,) = rig.records("refused")
        assert (record["device"], record["client_id"], record["code"]) == (None, "visitor", answer.code)
        assert record["reason"] == "engine_refused"
        assert rig.records("engine") == []


async def test_device_that_the_broker_refuses_hears_that_it_is_not_available(before: Opening) -> None:
    async def script(peer: Peer) -> None:
        await peer.take(Connect)
        await peer.send(ConnAck(0x9C, properties=Properties(server_reference="elsewhere")))

    async with before(script) as rig:
        assert await rig.refused(connect(level=5)) == ConnAck(0x88)
        assert [one["device"] for one in rig.records("refused")] == ["d1"]


@BOTH_VERSIONS
@pytest.mark.parametrize("make", [visitor, lambda level: connect(level=level)], ids=["guest", "device"])
async def test_who_the_broker_hangs_up_on_hears_that_it_is_not_available(
    before: Opening, make: Callable[[int], Connect], level: int
) -> None:
    async def script(peer: Peer) -> None:
        await peer.take(Connect)
        peer.finish()

    async with before(script) as rig:
        assert await rig.refusal(make(level)) == (0x88 if level == 5 else 3)
        assert [one["detail"] for one in rig.records("refused")] == ["closed"]


@BOTH_VERSIONS
async def test_guest_hears_that_there_is_no_broker(tmp_path: Path, level: int) -> None:
    async with opened(tmp_path, unused_port()) as rig:
        assert await rig.refusal(visitor(level)) == (0x88 if level == 5 else 3)


@pytest.mark.parametrize("packet", [visitor(), connect(level=5)], ids=["guest", "device"])
async def test_authentication_methods_are_not_relayed(before: Opening, packet: Connect) -> None:
    async def script(peer: Peer) -> None:
        raise AssertionError("the broker must not be asked")

    method = Properties(authentication_method="SCRAM-SHA-1")
    async with before(script) as rig:
        assert await rig.refusal(replace(packet, properties=method)) == 0x8C


@pytest.mark.parametrize("packet", [visitor(), connect(level=5)], ids=["guest", "device"])
async def test_brokers_topic_aliases_come_down_as_they_are(before: Opening, packet: Connect) -> None:
    alias = Properties(topic_alias=1)
    messages = (Publish("a", b"1", properties=alias), Publish("", b"2", properties=alias))
    asked: list[int | None] = []

    async def script(peer: Peer) -> None:
        asked.append((await peer.accept()).properties.topic_alias_maximum)
        await peer.send(*messages)

    async with before(script) as rig, await rig.client() as client:
        client.send(replace(packet, properties=Properties(topic_alias_maximum=5)))
        assert isinstance(await client.receive(), ConnAck)
        assert (await client.receive(), await client.receive()) == messages
    assert asked == [5]


async def test_device_keeps_its_state_no_longer_at_the_broker_than_here(before: Opening) -> None:
    last: list[Disconnect] = []

    async def script(peer: Peer) -> None:
        await peer.accept()
        last.append(await peer.take(Disconnect))

    async with before(script) as rig:
        limit_s = rig.platform.settings.stored_state_limit_s
        packet = connect(level=5, properties=Properties(session_expiry_interval=60))
        async with await rig.login(packet) as client:
            client.send(Disconnect(0, Properties(session_expiry_interval=limit_s + 1)))
            assert await client.rest() == []
            await rig.record("detached")
        async with await rig.login(visitor(properties=Properties(session_expiry_interval=60))) as client:
            client.send(Disconnect(0, Properties(session_expiry_interval=limit_s + 1)))
            assert await client.rest() == []
            await rig.record("guest_left")
    assert [one.properties.session_expiry_interval for one in last] == [limit_s, limit_s + 1]


async def test_answer_that_a_guest_does_not_take_is_journalled_under_its_client_id(before: Opening) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        asked = await peer.take(Subscribe)
        await peer.send(SubAck(asked.packet_id, (0,) * len(asked.filters)))

    async with before(script) as rig, await rig.client() as client:
        client.send(visitor(properties=Properties(maximum_packet_size=50)))
        await client.receive()
        client.send(Subscribe(1, tuple((f"a/{number}", 0) for number in range(60))))
        record = await rig.record("dropped", packet="SUBACK")
        assert (record["client_id"], record.get("device")) == ("visitor", None)
