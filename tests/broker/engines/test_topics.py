"""What devices say to each other and hear from the platform, with every engine behind the gate."""

import asyncio

import pytest

from tests.broker.engines.stage import (
    COMMANDS,
    EVERY,
    IN_EVERY_VERSION,
    OWN,
    Engine,
    command,
    message,
    nothing_more,
    publish,
    subscribe,
    unsubscribe,
)
from tests.broker.rig import Rig, connect
from wire.mqtt import Publish, Will

FOREIGN = "$oc/devices/d2/sys/messages/up"


@IN_EVERY_VERSION
@pytest.mark.parametrize("qos", [0, 1])
async def test_custom_topics_connect_devices(rig: Rig, level: int, qos: int) -> None:
    async with await rig.login(connect(level=level)) as one, await rig.login(connect("d2", level=level)) as two:
        assert await subscribe(two, ("talk/+", qos)) == (qos,)
        await publish(one, "talk/now", b"hello", qos)
        got = await message(two)
        assert (got.topic, got.payload, got.qos, got.retain, got.dup) == ("talk/now", b"hello", qos, False, False)
        await nothing_more(two)
        await nothing_more(one)


@EVERY
async def test_what_is_subscribed_and_said_in_one_breath_arrives(rig: Rig) -> None:
    async with await rig.login() as client:
        assert await subscribe(client, ("echo", 0)) == (0,)
        client.send(*(Publish("echo", b"%d" % number) for number in range(20)))
        assert [(await message(client)).payload for _ in range(20)] == [b"%d" % number for number in range(20)]


@EVERY
async def test_downlink_arrives_without_subscription_at_qos_0(rig: Rig) -> None:
    async with await rig.login() as client, asyncio.TaskGroup() as tasks:
        tasks.create_task(command(rig))
        assert (await message(client)).qos == 0


@IN_EVERY_VERSION
async def test_subscription_raises_downlinks_and_wildcards_bring_no_second_copy(rig: Rig, level: int) -> None:
    async with await rig.login(connect(level=level)) as client:
        filters = (("#", 1), ("+/devices/#", 1), ("$oc/devices/d1/#", 0), (COMMANDS, 1))
        assert await subscribe(client, *filters) == (1, 1, 0, 1)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(command(rig))
            assert (await message(client)).qos == 1
        await nothing_more(client)
        assert await unsubscribe(client, COMMANDS) == ((0,) if level == 5 else ())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(command(rig))
            assert (await message(client)).qos == 0
        await nothing_more(client)


@IN_EVERY_VERSION
async def test_suback_has_the_codes_of_both_in_order(rig: Rig, level: int) -> None:
    denied = 0x87 if level == 5 else 0x80
    async with await rig.login(connect(level=level)) as client:
        filters = ((FOREIGN, 1), ("custom/1", 1), (OWN, 1), ("$SYS/#", 0), ("custom/0", 0), (COMMANDS, 0), ("x", 2))
        assert await subscribe(client, *filters, packet_id=77) == (denied, 1, 1, denied, 0, 0, 1)
        assert await subscribe(client, (OWN, 2), (FOREIGN, 0), packet_id=78) == (1, denied)
        assert await subscribe(client, ("custom/2", 2), packet_id=79) == (1,)
    found = [(one["topic"], one["reason"]) for one in rig.records("dropped")]
    assert found == [(topic, "foreign_subscribe") for topic in (FOREIGN, "$SYS/#", FOREIGN)]


@IN_EVERY_VERSION
async def test_unsuback_has_the_codes_of_both_in_order(rig: Rig, level: int) -> None:
    async with await rig.login(connect(level=level)) as client:
        await subscribe(client, ("custom/1", 1), (OWN, 1))
        unwanted = ("never/there", OWN, "custom/1", FOREIGN, COMMANDS)
        expected = (0x11, 0, 0, 0x11, 0x11) if level == 5 else ()
        assert await unsubscribe(client, *unwanted, packet_id=9) == expected
        assert await unsubscribe(client, OWN, packet_id=10) == ((0x11,) if level == 5 else ())
        client.send(Publish("custom/1", b"unheard"))
        await nothing_more(client)


@IN_EVERY_VERSION
async def test_foreign_message_is_acknowledged_and_dropped(rig: Rig, level: int) -> None:
    async with await rig.login(connect(level=level)) as client, await rig.login(connect("d2")) as other:
        client.send(Publish(FOREIGN, b"x", 1, 5))
        answer = await client.receive()
        assert answer.code == (0x87 if level == 5 else 0)  # type: ignore[union-attr]
        await nothing_more(client)
        await nothing_more(other)
    assert [(one["device"], one["reason"]) for one in rig.records("dropped")] == [("d1", "foreign_publish")]


@IN_EVERY_VERSION
async def test_qos_2_ends_the_session(rig: Rig, level: int) -> None:
    async with await rig.login(connect(level=level)) as client:
        client.send(Publish("talk/now", b"x", 2, 1))
        assert await client.farewell() == (0x9B if level == 5 else None)
    assert (await rig.record("detached"))["reason"] == "protocol_error"


@EVERY
async def test_will_and_retained_message_are_ignored_and_journalled(rig: Rig, engine: Engine) -> None:
    async with await rig.login(connect("d2")) as other:
        await subscribe(other, ("#", 1))
        async with await rig.login(connect(will=Will("last/words", b"gone", 1, retain=True))) as client:
            client.send(Publish("kept", b"said", retain=True))
            await nothing_more(client)
            got = await message(other)
            assert (got.topic, got.payload, got.retain) == ("kept", b"said", False)
        await rig.record("detached", device="d1", reason="connection_lost")
        await nothing_more(other)
        async with await rig.login(connect("d3")) as late:
            await subscribe(late, ("#", 1))
            await nothing_more(late)
    assert [(one["topic"], one["reason"]) for one in rig.records("dropped")] == [
        ("last/words", "will_ignored"),
        ("kept", "retain_ignored"),
    ]


async def post(rig: Rig, topic: str) -> str:
    """Send the device a message of the vendor's; return what became of it at once."""
    body = {"message": "x", "payload_format": "raw", "topic_full_name": topic}
    answer = await rig.call("POST", "/v5/iot/p/devices/d1/messages", body)
    return str(answer.body["result"]["status"])


@EVERY
async def test_message_on_a_custom_topic_needs_a_subscription_wherever_that_is_kept(rig: Rig) -> None:
    async with await rig.login() as client:
        assert await post(rig, "all/news") == "FAILED"
        assert await subscribe(client, ("all/#", 1), (FOREIGN, 0)) == (1, 0x80)
        assert await post(rig, "all/news") == "DELIVERED"
        got = await message(client)
        assert (got.topic, got.qos) == ("all/news", 1)
        await unsubscribe(client, "all/#")
        assert await post(rig, "all/news") == "FAILED"
        await nothing_more(client)
