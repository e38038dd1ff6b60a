"""What MQTT 5 has beside its packets is the same through an open gate: properties, aliases, expiry, flow control."""

import asyncio
from pathlib import Path

import pytest

from tests.peers.general_clients import Scene, answered, same_to_all
from wire.mqtt import ConnAck, Properties, PubAck, PubComp, Publish, PubRec

pytestmark = pytest.mark.peer


async def test_properties_of_a_message_arrive_in_order(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        client = await scene.login("one")
        await client.subscribe(("a", 2), properties=Properties(user_property=(("of the", "subscription"),)))
        said = Properties(
            payload_format_indicator=1,
            message_expiry_interval=600,
            content_type="text/plain",
            response_topic="re/one",
            correlation_data=b"\0\xff",
            user_property=(("a", "2"), ("c", "3"), ("a", "1")),
        )
        await answered(client, *(Publish("a", b"x", qos, qos, retain=qos == 1, properties=said) for qos in (0, 1, 2)))
        await client.say(Publish("nobody/there", b"x", 1, 4), Publish("nobody/there", b"x", 2, 5))
        late = await scene.login("late")
        await late.subscribe(("a", 0))
        await late.nothing_more()

    seen = await same_to_all(tmp_path, script, 5)
    (kept,) = [one for one in seen["late"] if isinstance(one, Publish)]
    assert kept.properties.user_property == (("a", "2"), ("c", "3"), ("a", "1"))


async def test_client_may_name_its_topics_by_aliases(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        receiver = await scene.login("receiver", properties=Properties(topic_alias_maximum=10))
        await receiver.subscribe(("#", 1))
        sender = await scene.login("sender")
        for topic, alias in (("a", 1), ("", 1), ("b", 1), ("", 1), ("c", 10), ("", 10)):
            await sender.say(Publish(topic, b"x", 1, 1, properties=Properties(topic_alias=alias)))
        await receiver.nothing_more()
        for wrong in (
            Publish("a", properties=Properties(topic_alias=60_000)),
            Publish("", properties=Properties(topic_alias=5)),
        ):
            other = await scene.login("other")
            other.send(wrong)
            await other.end()

    seen = await same_to_all(tmp_path, script, 5)
    assert [one.topic for one in seen["receiver"] if isinstance(one, Publish)] == ["a", "a", "b", "b", "c", "c"]


async def test_message_expires_while_it_waits(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        receiver, sender = await scene.login("receiver", **scene.keeping()), await scene.login("sender")
        await receiver.subscribe(("a", 2))
        await receiver.leave()
        for number, expiry_s in enumerate((1, 600, None), 1):
            limit = Properties(message_expiry_interval=expiry_s)
            await answered(sender, Publish("a", b"%d" % number, 1, number, properties=limit))
        await asyncio.sleep(2.1)
        receiver = await scene.login("receiver", **scene.keeping())
        first, second = await receiver.nothing_more()
        assert 590 < first.properties.message_expiry_interval < 600
        assert (first.payload, second.payload) == (b"2", b"3")

    await same_to_all(tmp_path, script, 5)


async def test_client_gets_no_more_at_a_time_than_it_takes(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        receiver = await scene.login("receiver", properties=Properties(receive_maximum=2))
        sender = await scene.login("sender")
        await receiver.subscribe(("a", 2))
        await answered(
            sender, *(Publish("a", b"%d" % number, qos, number) for number, qos in enumerate((1, 2, 1, 2, 0), 1))
        )
        first, second, *_ = await receiver.nothing_more()
        await receiver.say(PubRec(second.packet_id))
        await receiver.nothing_more()
        receiver.send(PubAck(first.packet_id))
        await receiver.nothing_more()
        receiver.send(PubComp(second.packet_id))
        await receiver.nothing_more()

    await same_to_all(tmp_path, script, 5)


async def test_client_that_sends_more_at_a_time_than_the_broker_takes_is_told(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        sender = await scene.login("sender")
        await sender.say(*(Publish("a", b"x", 2, number) for number in range(1, 25)))

    seen = await same_to_all(tmp_path, script, 5)
    assert PubRec(21, 0x97) in seen["sender"]


async def test_client_gets_no_packet_larger_than_it_takes(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        receiver = await scene.login("receiver", properties=Properties(maximum_packet_size=64))
        sender = await scene.login("sender")
        await receiver.subscribe(("a", 2))
        await answered(sender, *(Publish("a", b"x" * size, qos, qos) for size in (20, 64) for qos in (0, 1, 2)))
        await receiver.nothing_more()

    seen = await same_to_all(tmp_path, script, 5)
    assert len([one for one in seen["receiver"] if isinstance(one, Publish)]) == 3


async def test_what_is_asked_for_in_5s_connect_is_answered(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        for name, asked in {
            "response": Properties(request_response_information=1),
            "problem": Properties(request_problem_information=0),
            "user": Properties(user_property=(("a", "b"),)),
            "method": Properties(authentication_method="SCRAM-SHA-1", authentication_data=b"x"),
            "expiry": Properties(session_expiry_interval=0xFFFF_FFFF),
        }.items():
            client = await scene.client(name)
            await client.say(scene.connect(name, properties=asked))

    seen = await same_to_all(tmp_path, script, 5)
    assert seen["method"] == [ConnAck(0x8C)]
