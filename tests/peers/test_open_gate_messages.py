"""What general clients say to each other is the same through an open gate: QoS, retained messages, subscriptions."""

from pathlib import Path

import pytest

from tests.broker.rig import BOTH_VERSIONS
from tests.peers.general_clients import CLOSED, Scene, answered, plain, same_to_all
from wire.mqtt import (
    Disconnect,
    PingReq,
    Properties,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    Subscribe,
    UnsubAck,
    Unsubscribe,
)

pytestmark = pytest.mark.peer


@BOTH_VERSIONS
async def test_qos_of_a_message_is_the_lower_of_both(tmp_path: Path, level: int) -> None:
    async def script(scene: Scene) -> None:
        receiver, sender = await scene.login("receiver"), await scene.login("sender")
        await receiver.subscribe(("a/0", 0), ("a/1", 1), ("a/2", 2))
        for qos in (0, 1, 2):
            await answered(
                sender, *(Publish(f"a/{wanted}", b"x", qos, qos and 10 * qos + wanted) for wanted in (0, 1, 2))
            )
        for packet in await receiver.nothing_more():
            if packet.qos == 1:
                receiver.send(PubAck(packet.packet_id))
            elif packet.qos == 2:
                await receiver.say(PubRec(packet.packet_id))
                receiver.send(PubComp(packet.packet_id))
        await receiver.nothing_more()

    seen = await same_to_all(tmp_path, script, level)
    got = [one.qos for one in seen["receiver"] if isinstance(one, Publish)]
    assert sorted(got) == [0, 0, 0, 0, 0, 1, 1, 1, 2]
    assert [one for one in seen["receiver"] if isinstance(one, PubRel)]


@BOTH_VERSIONS
async def test_messages_of_one_topic_come_in_order(tmp_path: Path, level: int) -> None:
    async def script(scene: Scene) -> None:
        receiver, sender = await scene.login("receiver"), await scene.login("sender")
        await receiver.subscribe(("a", 1))
        sender.send(*(Publish("a", b"%d" % number, number % 2, number % 2 and number) for number in range(1, 19)))
        await sender.take(9)
        assert len(await receiver.nothing_more()) == 18

    await same_to_all(tmp_path, script, level)


@BOTH_VERSIONS
async def test_large_message_passes(tmp_path: Path, level: int) -> None:
    async def script(scene: Scene) -> None:
        receiver = await scene.login("receiver")
        await receiver.subscribe(("a", 0))
        await receiver.say(Publish("a", b"x" * 90_000, 1, 7), answers=2)

    await same_to_all(tmp_path, script, level)


@BOTH_VERSIONS
async def test_message_over_the_brokers_limit_ends_the_connection(tmp_path: Path, level: int) -> None:
    async def script(scene: Scene) -> None:
        sender = await scene.login("sender")
        sender.send(Publish("a", b"x" * 200_000))
        await sender.end()

    await same_to_all(tmp_path, script, level)


@BOTH_VERSIONS
async def test_who_does_not_wait_for_the_connack_is_served(tmp_path: Path, level: int) -> None:
    async def script(scene: Scene) -> None:
        hasty = await scene.client("hasty")
        hasty.send(scene.connect("hasty"), Subscribe(1, (("a", 1),)), Publish("a", b"x", 1, 2), PingReq())
        await hasty.take(5)

    await same_to_all(tmp_path, script, level)


@BOTH_VERSIONS
async def test_retained_messages_are_kept_replaced_and_cleared(tmp_path: Path, level: int) -> None:
    async def script(scene: Scene) -> None:
        sender, early, late = [await scene.login(name) for name in ("sender", "early", "late")]
        await early.subscribe(("a/#", 2))
        await answered(sender, *(Publish(f"a/{qos}", b"old", qos, qos, retain=True) for qos in (0, 1, 2)))
        await answered(sender, Publish("a/1", b"new", 1, 5, retain=True), Publish("a/2", b"", 0, retain=True))
        await early.nothing_more()
        await late.subscribe(("a/+", 2))
        await late.nothing_more()
        await late.subscribe(("a/+", 1))
        await late.nothing_more()

    seen = await same_to_all(tmp_path, script, level)
    kept = [one for one in seen["late"] if isinstance(one, Publish)]
    assert {(one.topic, one.payload, one.retain) for one in kept} == {("a/0", b"old", True), ("a/1", b"new", True)}
    assert not any(one.retain for one in seen["early"] if isinstance(one, Publish))


async def test_retained_messages_come_as_the_subscription_says(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        sender, receiver = await scene.login("sender"), await scene.login("receiver")
        await answered(sender, Publish("a", b"kept", 1, 1, retain=True))
        for handling in (2, 1, 1, 0):
            await receiver.subscribe(("a", 1), options=plain(retain_handling=handling))
            await receiver.nothing_more()
        await receiver.subscribe(("a", 1), options=plain(retain_as_published=True, retain_handling=2))
        await answered(sender, Publish("a", b"again", 1, 1, retain=True), Publish("a", b"not", 1, 1))
        await receiver.nothing_more()

    await same_to_all(tmp_path, script, 5)


@BOTH_VERSIONS
async def test_unsubscribe_ends_what_was_there(tmp_path: Path, level: int) -> None:
    async def script(scene: Scene) -> None:
        client = await scene.login("one")
        await client.subscribe(("a", 0), ("b/+", 1), ("c/#", 2))
        await client.say(Unsubscribe(2, ("a", "never/there", "b/+")))
        client.send(*(Publish(topic, b"x") for topic in ("a", "b/b", "c")))
        await client.nothing_more()

    seen = await same_to_all(tmp_path, script, level)
    assert [one.topic for one in seen["one"] if isinstance(one, Publish)] == ["c"]
    assert UnsubAck(2, (0, 0x11, 0) if level == 5 else ()) in seen["one"]


@BOTH_VERSIONS
async def test_topics_with_a_dollar_are_no_wildcards(tmp_path: Path, level: int) -> None:
    async def script(scene: Scene) -> None:
        client = await scene.login("one")
        await client.subscribe(("#", 1), ("+/version", 1), ("$mine/#", 1), ("$SYS/broker/version", 0))
        await client.nothing_more()
        await client.say(Publish("$mine/a", b"x", 1, 3), answers=2)
        await client.nothing_more()

    seen = await same_to_all(tmp_path, script, level)
    assert [one.topic for one in seen["one"] if isinstance(one, Publish)] == ["$SYS/broker/version", "$mine/a"]


@BOTH_VERSIONS
async def test_overlapping_subscriptions(tmp_path: Path, level: int) -> None:
    async def script(scene: Scene) -> None:
        client = await scene.login("one")
        await client.subscribe(("a/#", 0), ("a/b", 2), ("+/b", 1))
        await answered(client, Publish("a/b", b"x", 2, 1))

    await same_to_all(tmp_path, script, level)


async def test_subscription_identifiers_and_options(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        client, other = await scene.login("one"), await scene.login("other")
        for number, wanted in enumerate(("a/#", "a/b", "+/b"), 1):
            await client.subscribe((wanted, 1), properties=Properties(subscription_identifier=(number * 100_000,)))
        await client.subscribe(("mine", 1), options=plain(no_local=True))
        client.send(Publish("a/b", b"x", 0), Publish("mine", b"not to me", 0))
        await answered(other, Publish("a/b", b"y", 1, 1), Publish("mine", b"to the other", 1, 1))
        await client.nothing_more()

    seen = await same_to_all(tmp_path, script, 5)
    numbers = {one.properties.subscription_identifier for one in seen["one"] if isinstance(one, Publish)}
    assert numbers - {()}


async def test_shared_subscription_shares_and_the_others_do_not(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        sender, one, two = [await scene.login(name) for name in ("sender", "one", "two")]
        await one.subscribe(("$share/group/a", 1), ("b", 1))
        await two.subscribe(("$share/group/a", 1), ("b", 1))
        await answered(sender, *(Publish(topic, b"x", 1, number) for number, topic in enumerate("aaaabb", 1)))
        await one.nothing_more()
        await two.nothing_more()
        await one.say(Unsubscribe(2, ("$share/group/a",)))
        await answered(sender, Publish("a", b"y", 1, 1))
        await one.nothing_more()
        await two.nothing_more()

    seen = await same_to_all(tmp_path, script, 5)
    shares = [[one.topic for one in seen[name] if isinstance(one, Publish)].count("a") for name in ("one", "two")]
    assert sum(shares) == 5
    assert all(shares)


BREACHES = {
    "second CONNECT": b"\x10\x0c\0\4MQTT\4\2\0\0\0\0",
    "wildcard in a topic": b"\x30\x05\0\x03a/#",
    "QoS 3": b"\x36\x05\0\1a\0\1",
    "QoS 3 asked for": b"\x82\x06\0\1\0\1a\3",
    "flags of SUBSCRIBE": b"\x80\x06\0\1\0\1a\0",
    "CONNACK": b"\x20\2\0\0",
    "packet type 0": b"\0\0",
    "AUTH": b"\xf0\0",
}
ONLY_CLOSED = {"second CONNECT", "CONNACK", "AUTH"}
"""What mosquitto closes for without a word, while the gate tells a client of MQTT 5 why."""


@BOTH_VERSIONS
async def test_who_breaks_the_protocol_is_cut(tmp_path: Path, level: int) -> None:
    async def script(scene: Scene) -> None:
        for name, breach in BREACHES.items():
            client = await scene.login(name)
            client.send(breach)
            await client.end()
            if name in ONLY_CLOSED and isinstance(told := client.seen[-2], Disconnect):
                assert told.code == 0x82
                client.seen.remove(told)

    seen = await same_to_all(tmp_path, script, level)
    assert all(one[-1] == CLOSED for one in seen.values())
