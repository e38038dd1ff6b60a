"""Clients that break MQTT brokers, sent to the gate with every engine behind it."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.broker.engines.faults import Fault, has
from tests.broker.engines.stage import (
    EVERY,
    IN_EVERY_VERSION,
    Engine,
    enter,
    message,
    nothing_more,
    persistent,
    publish,
    subscribe,
    unsubscribe,
)
from tests.broker.engines.test_pressure import memory
from tests.broker.rig import SECONDARY, Client, FakeClock, Rig, connect, running
from tests.support.descriptors import open_sockets
from tests.support.waiting import until
from wire.mqtt import Connect, PubAck, Publish

SOON: dict[str, Any] = {"sweep_s": 0.01, "linger_s": 0.2, "stuck_s": 0.02}
NOT_MQTT = (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\0" * 64, b"\xff" * 64)
UP = "$oc/devices/d1/sys/messages/up"


async def hears(rig: Rig, client: Client, topic: str = "talk") -> None:
    """Show that a client still gets what it has subscribed to."""
    async with await rig.login(connect("d3")) as other:
        await publish(other, topic, b"still there")
    assert (await message(client)).payload == b"still there"
    await nothing_more(client)


@EVERY
async def test_publishing_to_oc_topics_costs_nobody_its_later_messages(rig: Rig) -> None:
    async with await rig.login() as client, await rig.login(connect("d2")) as other:
        await subscribe(other, ("talk", 1))
        for number, topic in enumerate((UP, "$oc/devices/d2/sys/messages/up", "$SYS/broker/load"), 1):
            client.send(Publish(topic, b'{"seq": %d}' % number, 1, number))
            assert isinstance(await client.receive(), PubAck)
        await publish(client, "talk", b"later")
        assert (await message(other)).payload == b"later"
    (record,) = rig.records("uplink")
    assert (record["first"], record["last"]) == (1, 1)


@EVERY
async def test_sockets_that_never_say_a_word_are_closed(tmp_path: Path, engine: Engine) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock, engine=engine.address, **SOON) as rig, AsyncExitStack() as stack:
        await rig.statistics()
        clients = [await stack.enter_async_context(await rig.client()) for _ in range(200)]
        await until(lambda: len(open_sockets()) >= 400, "all are taken")
        clock.advance(31)
        assert [await client.rest() for client in clients] == [[]] * 200
        assert len(rig.records("peer_closed")) == 200


@EVERY
async def test_clients_that_speak_no_mqtt_hold_nothing(rig: Rig) -> None:
    await rig.statistics()
    before = open_sockets()
    for number in range(200):
        async with await rig.client() as client:
            client.writer.write(NOT_MQTT[number % len(NOT_MQTT)])
            assert await client.reader.read() == b""
    await until(lambda: open_sockets() <= before, "all are closed")
    assert (await rig.statistics())["internal_errors"] == 0


@EVERY
@pytest.mark.parametrize("clean", [True, False])
async def test_wrong_password_disturbs_nobody(rig: Rig, clean: bool) -> None:
    client, _ = await enter(rig, persistent())
    async with client:
        await subscribe(client, ("talk", 1))
        assert await rig.refusal(connect(secret="wrong-secret", clean_session=clean)) == 4
        await hears(rig, client)


@EVERY
async def test_refused_logins_leave_nothing(rig: Rig) -> None:
    await rig.refusal(connect(secret="wrong-secret"))
    before, sockets = memory(), open_sockets()
    for number in range(300):
        assert await rig.refusal(connect(f"nobody-{number}")) == 4
    await until(lambda: open_sockets() <= sockets, "all are closed")
    assert memory() - before < 4 << 20
    assert await rig.sessions() == {}


@IN_EVERY_VERSION
@pytest.mark.parametrize("clean", [True, False])
async def test_same_client_id_twice_leaves_the_second_and_that_hears(rig: Rig, level: int, clean: bool) -> None:
    wanted = connect(level=level) if clean else persistent(level)
    old, _ = await enter(rig, wanted)
    await subscribe(old, ("talk", 1))
    async with old, (await enter(rig, wanted))[0] as new:
        assert await old.farewell() == (0x8E if level == 5 else None)
        await subscribe(new, ("talk", 1))
        await hears(rig, new)


@EVERY
async def test_packet_that_is_announced_too_large_ends_the_session_at_once(rig: Rig) -> None:
    async with await rig.login() as client:
        client.writer.write(b"\x30\xff\xff\xff\x7f")
        assert await client.rest() == []
    assert (await rig.record("detached"))["reason"] == "protocol_error"


BAD = {
    "topic is no UTF-8": b"\x30\x05\x00\x02\xff\xfex",
    "topic has a wildcard": b"\x30\x05\x00\x02a#x",
    "topic is empty": b"\x30\x03\x00\x00x",
    "topic has a null": b"\x30\x05\x00\x02a\0x",
    "topic is longer than the packet": b"\x30\x05\x00\x09abc",
    "packet id is 0": b"\x32\x06\x00\x01a\x00\x00x",
    "filter is empty": b"\x82\x05\x00\x01\x00\x00\x00",
    "no filter": b"\x82\x02\x00\x01",
    "reserved type": b"\xf0\x00",
    "second CONNECT": Connect("again").encode(),
    "packet of a server": b"\xd0\x00",
}


@EVERY
@pytest.mark.parametrize("packet", BAD.values(), ids=BAD)
async def test_bad_packet_ends_the_session(rig: Rig, packet: bytes) -> None:
    async with await rig.login() as client:
        client.writer.write(packet)
        assert await client.rest() == []
    assert (await rig.record("detached"))["reason"] == "protocol_error"
    async with await rig.login() as client:
        await nothing_more(client)


@EVERY
async def test_client_of_mqtt_5_is_answered(rig: Rig, engine: Engine) -> None:
    async with await rig.client() as client:
        client.send(connect(level=5))
        answer = await client.receive()
    found = [(one["code"], one["reason"]) for one in rig.records("refused")]
    if has(engine, Fault.LACKS_5):
        assert found == [(0x84, "engine_lacks_version")]
    elif has(engine, Fault.HANGS_UP_AT_5):
        assert found == [(0x88, "engine_unavailable")]
    else:
        assert found == []
    assert answer.code == (found[0][0] if found else 0)  # type: ignore[union-attr]
    assert bool(rig.records("engine")) is has(engine, Fault.HANGS_UP_AT_5)


@EVERY
async def test_kicked_client_that_is_back_at_once_gets_a_working_session(rig: Rig) -> None:
    secret = SECONDARY
    for number in range(40):
        async with await rig.login(connect(secret=secret)) as client:
            await subscribe(client, ("talk", 1))
            secret = f"secret-number-{number}"
            await rig.reset(force_disconnect=True, secret=secret, secret_type="SECONDARY")
            assert await client.rest() == []
    async with await rig.login(connect(secret=secret)) as client:
        await subscribe(client, ("talk", 1))
        await hears(rig, client)


@EVERY
async def test_nothing_is_lost_while_others_subscribe_and_unsubscribe(rig: Rig) -> None:
    async def change(client: Client) -> None:
        for number in range(20):
            await subscribe(client, (f"other/{number}", 1), (f"+/{number}/#", 0))
            await unsubscribe(client, f"other/{number}", f"+/{number}/#")

    async with (
        await rig.login() as client,
        await rig.login(connect("d2")) as sender,
        await rig.login(connect("d3")) as other,
    ):
        await subscribe(client, ("talk", 1))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(change(other))
            for number in range(100):
                await publish(sender, "talk", b"%d" % number)
        assert [(await message(client)).payload for _ in range(100)] == [b"%d" % number for number in range(100)]
