"""Stored state: what a device that asked for it finds again, on real sockets."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.broker.rig import BOTH_VERSIONS, HOUR, PRIMARY, SECONDARY, Client, FakeClock, Rig, connect, running
from wire.mqtt import (
    ConnAck,
    Connect,
    Disconnect,
    PingReq,
    PingResp,
    Properties,
    PubAck,
    Publish,
    SubAck,
    Subscribe,
)

LIMIT_S = 86_400
NEVER = 0xFFFF_FFFF
SOON: dict[str, Any] = {"sweep_s": 0.01}


def persistent(level: int, *, clean: bool = False, expiry_s: int = 3600, **fields: Any) -> Connect:
    """Make a CONNECT that wants its state kept: in 3.1.1 without a limit, in 5 for a while."""
    if level == 5:
        fields = {"properties": Properties(session_expiry_interval=expiry_s), **fields}
    return connect(level=level, clean_session=clean, **fields)


async def enter(rig: Rig, packet: Connect) -> tuple[Client, ConnAck]:
    client = await rig.client()
    client.send(packet)
    answer = await client.receive()
    assert isinstance(answer, ConnAck)
    assert answer.code == 0
    return client, answer


async def present(rig: Rig, packet: Connect) -> bool:
    """Log in, leave, and tell whether the session went on from a stored state."""
    client, answer = await enter(rig, packet)
    await leave(rig, client)
    return answer.session_present


async def leave(rig: Rig, client: Client) -> None:
    async with client:
        client.send(Disconnect())
        assert await client.rest() == []


async def subscribed(rig: Rig, packet: Connect, *filters: tuple[str, int]) -> Client:
    client, _ = await enter(rig, packet)
    client.send(Subscribe(1, filters or (("q", 1),)))
    assert isinstance(await client.receive(), SubAck)
    return client


async def say(rig: Rig, *payloads: bytes, topic: str = "q", qos: int = 1, **more: Any) -> None:
    """Publish as another device, and wait until all of it is taken."""
    await rig.provision("d2")
    async with await rig.login(connect("d2", level=5)) as sender:
        sender.send(*(Publish(topic, one, qos, number * qos, **more) for number, one in enumerate(payloads, 1)))
        sender.send(PingReq())
        while await sender.receive() != PingResp():
            pass


async def messages(client: Client, count: int) -> list[Publish]:
    """Receive and acknowledge messages, and show that no more come."""
    got = []
    for _ in range(count):
        packet = await client.receive()
        assert isinstance(packet, Publish), packet
        client.send(PubAck(packet.packet_id))
        got.append(packet)
    client.send(PingReq())
    assert await client.receive() == PingResp()
    return got


@BOTH_VERSIONS
async def test_messages_of_qos_1_wait_for_the_device_and_come_in_order(rig: Rig, level: int) -> None:
    await leave(rig, await subscribed(rig, persistent(level)))
    await say(rig, *(b"%d" % number for number in range(50)))
    await say(rig, b"not worth waiting", qos=0)
    client, answer = await enter(rig, persistent(level))
    async with client:
        assert answer.session_present
        got = await messages(client, 50)
    assert [one.payload for one in got] == [b"%d" % number for number in range(50)]
    assert not any(one.dup for one in got)


@BOTH_VERSIONS
async def test_subscriptions_go_on_though_the_client_id_has_another_hour(rig: Rig, level: int) -> None:
    commands = "$oc/devices/d1/sys/commands/#"
    await leave(rig, await subscribed(rig, persistent(level), ("talk/+", 1), (commands, 1)))
    later = persistent(level, hour="2026112120")
    assert later.client_id != f"d1_0_0_{HOUR}"
    client, _ = await enter(rig, later)
    async with client:
        await say(rig, b"hello", topic="talk/now")
        assert [one.payload for one in await messages(client, 1)] == [b"hello"]
        async with asyncio.TaskGroup() as tasks:
            body = {"command_name": "c", "timeout": 0.01}
            tasks.create_task(rig.call("POST", "/_platform/devices/d1/commands", body))
            command = await client.receive()
        assert isinstance(command, Publish)
        assert command.qos == 1


async def forced_reset(rig: Rig, level: int, client: Client) -> Client:
    await rig.reset(force_disconnect=True)
    await client.rest()
    return (await enter(rig, persistent(level, secret=SECONDARY)))[0]


async def take_over(rig: Rig, level: int, client: Client) -> Client:
    return (await enter(rig, persistent(level)))[0]


async def crash(rig: Rig, level: int, client: Client) -> Client:
    client.writer.transport.abort()
    await rig.record("detached", device="d1", reason="connection_lost")
    return (await enter(rig, persistent(level)))[0]


async def freeze(rig: Rig, level: int, client: Client) -> Client:
    await rig.call("POST", "/v5/iot/p/devices/d1/freeze")
    await rig.call("POST", "/v5/iot/p/devices/d1/unfreeze")
    return (await enter(rig, persistent(level)))[0]


@BOTH_VERSIONS
@pytest.mark.parametrize("cut", [forced_reset, take_over, crash, freeze])
async def test_what_was_in_flight_comes_again_with_its_packet_id_and_dup(
    rig: Rig, level: int, cut: Callable[[Rig, int, Client], Awaitable[Client]]
) -> None:
    async with await subscribed(rig, persistent(level)) as old:
        await say(rig, *(b"%d" % number for number in range(25)))
        first = [await old.receive() for _ in range(20)]
        assert all(isinstance(one, Publish) and not one.dup for one in first)
        old.send(PubAck(1), PubAck(3), PingReq())
        assert [(await old.receive()).payload for _ in range(2)] == [b"20", b"21"]  # type: ignore[union-attr]
        assert await old.receive() == PingResp()
        async with await cut(rig, level, old) as new:
            got = await messages(new, 23)
    unacknowledged = [number for number in range(22) if number not in (0, 2)]
    assert [int(one.payload) for one in got] == [*unacknowledged, 22, 23, 24]
    assert [one.packet_id for one in got[:20]] == [number + 1 for number in unacknowledged]
    assert [one.dup for one in got] == [True] * 20 + [False] * 3


@BOTH_VERSIONS
async def test_nothing_is_stored_for_a_clean_session(rig: Rig, level: int) -> None:
    await leave(rig, await subscribed(rig, connect(level=level)))
    await say(rig, b"lost")
    client, answer = await enter(rig, persistent(level))
    async with client:
        assert not answer.session_present
        await messages(client, 0)


@BOTH_VERSIONS
async def test_clean_start_forgets_everything(rig: Rig, level: int) -> None:
    await leave(rig, await subscribed(rig, persistent(level)))
    await say(rig, b"lost", b"lost too")
    assert not await present(rig, persistent(level, clean=True))
    await say(rig, b"nobody subscribes any more")
    client, answer = await enter(rig, persistent(level))
    async with client:
        assert answer.session_present is (level == 5), "clean_session = 1 of 3.1.1 stores nothing either"
        await messages(client, 0)
    (record,) = rig.records("forgotten")
    assert (record["device"], record["reason"], record["messages"]) == ("d1", "clean_start", 2)


async def test_state_outlives_a_change_of_the_mqtt_version(rig: Rig) -> None:
    await leave(rig, await subscribed(rig, persistent(4)))
    await say(rig, b"kept")
    client, answer = await enter(rig, persistent(5))
    async with client:
        assert answer.session_present
        await messages(client, 1)


@pytest.mark.parametrize(
    ("packet", "lasts_s"),
    [
        (persistent(4), LIMIT_S),
        (persistent(5, expiry_s=100), 100),
        (persistent(5, expiry_s=NEVER), LIMIT_S),
    ],
)
async def test_state_lasts_as_long_as_asked_within_the_limit(tmp_path: Path, packet: Connect, lasts_s: int) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock) as rig:
        await rig.provision("d1")
        await leave(rig, await subscribed(rig, packet))
        clock.advance(lasts_s - 1)
        assert await present(rig, packet)
        clock.advance(lasts_s)
        assert not await present(rig, packet)
        assert [one["reason"] for one in rig.records("forgotten")] == ["expired"]


async def test_expired_state_is_swept_without_anybody_asking(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock, **SOON) as rig:
        await rig.provision("d1")
        await leave(rig, await subscribed(rig, persistent(5, expiry_s=10)))
        assert (await rig.statistics())["stored_states"] == 1
        clock.advance(10)
        await rig.record("forgotten", device="d1", reason="expired", messages=0)
        assert (await rig.statistics())["stored_states"] == 0


@pytest.mark.parametrize(("asked", "told"), [(0, None), (100, None), (LIMIT_S, None), (NEVER, LIMIT_S)])
async def test_connack_tells_the_expiry_when_it_is_not_the_one_asked_for(
    rig: Rig, asked: int, told: int | None
) -> None:
    client, answer = await enter(rig, persistent(5, expiry_s=asked))
    async with client:
        assert answer.properties.session_expiry_interval == told


async def test_limit_of_0_stores_nothing_and_says_so(tmp_path: Path) -> None:
    async with running(tmp_path, stored_state_limit_s=0) as rig:
        await rig.provision("d1")
        client, answer = await enter(rig, persistent(5))
        assert answer.properties.session_expiry_interval == 0
        await leave(rig, client)
        await leave(rig, await subscribed(rig, persistent(4)))
        assert not await present(rig, persistent(4))


@pytest.mark.parametrize(("last_wish", "kept"), [(None, True), (60, True), (0, False)])
async def test_disconnect_may_change_how_long_the_state_lasts(rig: Rig, last_wish: int | None, kept: bool) -> None:
    client, _ = await enter(rig, persistent(5))
    async with client:
        client.send(Disconnect(0, Properties(session_expiry_interval=last_wish)))
        assert await client.rest() == []
    assert await present(rig, persistent(5)) is kept


async def test_disconnect_cannot_ask_for_state_that_the_connect_did_not(rig: Rig) -> None:
    async with await rig.login(connect(level=5)) as client:
        client.send(Disconnect(0, Properties(session_expiry_interval=60)))
        assert await client.farewell() == 0x82
    assert (await rig.statistics())["stored_states"] == 0


async def test_queue_is_bounded_and_what_is_dropped_is_counted_and_journalled(tmp_path: Path) -> None:
    async with running(tmp_path, queue_limit=3) as rig:
        await rig.provision("d1")
        await leave(rig, await subscribed(rig, persistent(4)))
        await say(rig, *(b'{"seq": %d}' % number for number in range(5)))
        client, _ = await enter(rig, persistent(4))
        async with client:
            assert [one.payload for one in await messages(client, 3)] == [b'{"seq": %d}' % n for n in (2, 3, 4)]
        assert (await rig.statistics())["dropped_queue_full"] == 2
        assert [(one["device"], one["reason"], one["seq"]) for one in rig.records("dropped")] == [
            ("d1", "queue_full", 0),
            ("d1", "queue_full", 1),
        ]


async def test_receive_maximum_of_the_new_session_counts(rig: Rig) -> None:
    async with await subscribed(rig, persistent(5)) as old:
        await say(rig, *(b"%d" % number for number in range(5)))
        for _ in range(5):
            await old.receive()
        narrow = Properties(session_expiry_interval=3600, receive_maximum=2)
        client, _ = await enter(rig, persistent(5, properties=narrow))
        async with client:
            assert [(await client.receive()).packet_id for _ in range(2)] == [1, 2]  # type: ignore[union-attr]
            client.send(PingReq())
            assert await client.receive() == PingResp()
            client.send(PubAck(1), PubAck(2))
            assert [one.packet_id for one in await messages(client, 3)] == [3, 4, 5]


async def test_message_that_expires_while_it_waits_is_not_delivered(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock) as rig:
        await rig.provision("d1")
        await leave(rig, await subscribed(rig, persistent(5)))
        await say(rig, b"stale", properties=Properties(message_expiry_interval=5))
        await say(rig, b"fresh", properties=Properties(message_expiry_interval=60))
        clock.advance(10)
        client, _ = await enter(rig, persistent(5))
        async with client:
            (got,) = await messages(client, 1)
        assert (got.payload, got.properties.message_expiry_interval) == (b"fresh", 50)
        assert (await rig.statistics())["dropped_expired"] == 1
        assert [one["reason"] for one in rig.records("dropped")] == ["expired"]


async def test_taken_over_by_a_refused_client_is_not_taken_over(rig: Rig) -> None:
    async with await subscribed(rig, persistent(4)) as client:
        assert await rig.refusal(persistent(4, secret="wrong-secret", clean=True)) == 4
        await say(rig, b"still here")
        await messages(client, 1)


@BOTH_VERSIONS
@pytest.mark.parametrize("is_online", [False, True])
async def test_deleted_device_is_cut_and_leaves_nothing(rig: Rig, level: int, is_online: bool) -> None:
    async with await subscribed(rig, persistent(level)) as client:
        if not is_online:
            await leave(rig, client)
        assert (await rig.call("DELETE", "/v5/iot/p/devices/d1")).status == 204
        if is_online:
            assert await client.farewell() == (0x98 if level == 5 else None)
            assert rig.records("detached")[0]["reason"] == "deleted"
    assert await rig.refusal(persistent(level)) == (0x86 if level == 5 else 4)
    assert (await rig.statistics())["stored_states"] == 0
    assert (await rig.call("DELETE", "/v5/iot/p/devices/d1")).status == 404
    await rig.provision("d1")
    assert not await present(rig, persistent(level))


async def test_deletion_is_durable(tmp_path: Path) -> None:
    async with running(tmp_path, db=tmp_path / "k.db") as rig:
        await rig.provision("d1", "d2")
        await rig.call("DELETE", "/v5/iot/p/devices/d1")
    async with running(tmp_path, db=tmp_path / "k.db") as rig:
        assert await rig.refusal(connect()) == 4
        assert (await rig.statistics())["devices"] == 1


async def test_state_ends_with_the_platform(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"db": tmp_path / "k.db"}
    async with running(tmp_path, **settings) as rig:
        await rig.provision("d1")
        await leave(rig, await subscribed(rig, persistent(4)))
    async with running(tmp_path, **settings) as rig:
        assert not await present(rig, persistent(4, secret=PRIMARY))
