"""Sessions of general clients are the same through an open gate: stored state, wills, keep alive, client ids."""

import asyncio
from pathlib import Path

import pytest

from tests.broker.rig import BOTH_VERSIONS
from tests.peers.general_clients import Scene, answered, same_to_all
from wire.mqtt import ConnAck, Disconnect, PingReq, PingResp, Properties, PubAck, PubComp, Publish, PubRec, PubRel, Will

pytestmark = pytest.mark.peer


@BOTH_VERSIONS
async def test_messages_wait_for_a_client_that_is_away(tmp_path: Path, level: int) -> None:
    async def script(scene: Scene) -> None:
        receiver, sender = await scene.login("receiver", **scene.keeping()), await scene.login("sender")
        await receiver.subscribe(("a", 2))
        await receiver.leave()
        await answered(sender, *(Publish("a", b"%d" % qos, qos, qos) for qos in (0, 1, 2)))
        receiver = await scene.login("receiver", **scene.keeping())
        await receiver.nothing_more()
        await receiver.leave()
        receiver = await scene.login("receiver")
        await receiver.nothing_more()

    seen = await same_to_all(tmp_path, script, level)
    present = [one.session_present for one in seen["receiver"] if isinstance(one, ConnAck)]
    assert present == [False, True, False]
    assert len([one for one in seen["receiver"] if isinstance(one, Publish)]) >= 2


@BOTH_VERSIONS
async def test_what_was_not_acknowledged_comes_again(tmp_path: Path, level: int) -> None:
    async def script(scene: Scene) -> None:
        receiver, sender = await scene.login("receiver", **scene.keeping()), await scene.login("sender")
        await receiver.subscribe(("a", 2))
        await answered(sender, *(Publish("a", b"%d" % number, qos, number) for number, qos in enumerate((1, 2, 2), 1)))
        first, second, third = await receiver.nothing_more()
        await receiver.say(PubRec(second.packet_id))
        receiver.vanish()
        receiver = await scene.login("receiver", **scene.keeping())
        await receiver.nothing_more()
        receiver.send(PubAck(first.packet_id), PubComp(second.packet_id))
        await receiver.say(PubRec(third.packet_id))
        receiver.send(PubComp(third.packet_id))
        await receiver.nothing_more()
        await receiver.leave()
        receiver = await scene.login("receiver", **scene.keeping())
        await receiver.nothing_more()

    seen = (await same_to_all(tmp_path, script, level))["receiver"]
    assert sorted(one.payload for one in seen if isinstance(one, Publish) and one.dup) == [b"1", b"3"]
    assert len([one for one in seen if isinstance(one, PubRel)]) == 3


@BOTH_VERSIONS
async def test_message_of_qos_2_that_is_sent_again_arrives_once(tmp_path: Path, level: int) -> None:
    async def script(scene: Scene) -> None:
        receiver, sender = await scene.login("receiver"), await scene.login("sender", **scene.keeping())
        await receiver.subscribe(("a", 0))
        await sender.say(Publish("a", b"once", 2, 9))
        sender.vanish()
        sender = await scene.login("sender", **scene.keeping())
        await sender.say(Publish("a", b"once", 2, 9, dup=True))
        await sender.say(PubRel(9))
        await sender.say(PubRel(9))
        await receiver.nothing_more()

    seen = await same_to_all(tmp_path, script, level)
    assert [one.payload for one in seen["receiver"] if isinstance(one, Publish)] == [b"once"]


@BOTH_VERSIONS
async def test_another_with_the_same_client_id_takes_over(tmp_path: Path, level: int) -> None:
    async def script(scene: Scene) -> None:
        witness = await scene.login("witness")
        await witness.subscribe(("gone", 1))
        one = await scene.login("one", will=Will("gone", b"taken over", 1), **scene.keeping())
        await one.subscribe(("a", 1))
        other = await scene.client("one, again")
        await other.say(scene.connect("one", **scene.keeping()))
        await one.end()
        await other.say(Publish("a", b"still subscribed", 1, 1), answers=2)
        await witness.nothing_more()

    await same_to_all(tmp_path, script, level)


async def test_state_is_kept_as_long_as_the_client_says(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        short = await scene.login("short", **scene.keeping(1))
        await short.leave()
        changed = await scene.login("changed", **scene.keeping(60))
        await changed.leave(Disconnect(0, Properties(session_expiry_interval=0)))
        longer = await scene.login("longer", **scene.keeping(1))
        await longer.leave(Disconnect(0, Properties(session_expiry_interval=60)))
        never = await scene.login("never")
        await never.leave(Disconnect(0, Properties(session_expiry_interval=60)))
        await asyncio.sleep(2.5)
        for name in ("short", "changed", "longer", "never"):
            await scene.login(name, **scene.keeping(60))

    seen = await same_to_all(tmp_path, script, 5)
    present = {name: seen[name][-1].session_present for name in seen}  # type: ignore[union-attr]
    assert present == {"short": False, "changed": False, "longer": True, "never": False}


@BOTH_VERSIONS
async def test_will_is_published_for_who_vanishes_and_not_for_who_leaves(tmp_path: Path, level: int) -> None:
    async def script(scene: Scene) -> None:
        witness = await scene.login("witness")
        await witness.subscribe(("gone/#", 2))
        for number, retain in enumerate((False, True)):
            for qos in (0, 1, 2):
                will = Will(f"gone/{qos}", b"%d" % number, qos, retain=retain)
                (await scene.login("vanishing", will=will)).vanish()
                await witness.take()
        await (await scene.login("leaving", will=Will("gone/1", b"not so"))).leave()
        await witness.nothing_more()
        late = await scene.login("late")
        await late.subscribe(("gone/+", 2))
        await late.nothing_more()

    seen = await same_to_all(tmp_path, script, level)
    assert len([one for one in seen["witness"] if isinstance(one, Publish)]) == 6
    assert len([one for one in seen["late"] if isinstance(one, Publish)]) == 3


async def test_client_of_5_may_ask_for_its_will_when_it_leaves(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        witness = await scene.login("witness")
        await witness.subscribe(("gone", 1))
        asked = Properties(user_property=(("why", "tired"), ("why", "late")), content_type="text", response_topic="re")
        leaving = await scene.login("leaving", will=Will("gone", b"asked for", 1, properties=asked))
        await leaving.leave(Disconnect(4, Properties(reason_string="with the will", user_property=(("a", "b"),))))
        await witness.take()
        await witness.nothing_more()

    seen = await same_to_all(tmp_path, script, 5)
    assert [one.payload for one in seen["witness"] if isinstance(one, Publish)] == [b"asked for"]


async def test_will_waits_as_it_says_unless_its_client_returns(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        witness = await scene.login("witness")
        await witness.subscribe(("gone/#", 1))
        for name, delay_s in (("returning", 1), ("late", 1), ("expiring", 60), ("at once", 0)):
            will = Will(f"gone/{name}", b"x", 0, properties=Properties(will_delay_interval=delay_s))
            expiry = Properties(session_expiry_interval=1 if name == "expiring" else 60)
            (await scene.login(name, will=will, properties=expiry)).vanish()
        await witness.take()
        await scene.login("returning", **scene.keeping())
        await asyncio.sleep(2.5)
        witness.seen += sorted(await witness.nothing_more(), key=str)

    seen = await same_to_all(tmp_path, script, 5)
    assert {one.topic for one in seen["witness"] if isinstance(one, Publish)} == {
        "gone/at once",
        "gone/late",
        "gone/expiring",
    }


async def test_who_is_silent_for_longer_than_its_keep_alive_is_gone_and_who_pings_stays(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        witness, alive = await scene.login("witness"), await scene.login("alive", keepalive=1)
        await witness.subscribe(("gone", 0))
        silent = await scene.login("silent", keepalive=1, will=Will("gone", b"silent"))
        async with asyncio.TaskGroup() as tasks:
            end = tasks.create_task(silent.end())
            while not end.done():
                await asyncio.wait((end,), timeout=0.5)
                assert await alive.say(PingReq()) == [PingResp()]
        alive.seen[:] = alive.seen[:2]  # how often it had to ping is not the same
        await witness.take()
        await witness.nothing_more()

    async with asyncio.TaskGroup() as both:  # mosquitto looks for the silent every five seconds
        for level in (4, 5):
            both.create_task(same_to_all(tmp_path / f"{level}", script, level))


@BOTH_VERSIONS
async def test_brokers_own_keep_alive_is_told(tmp_path: Path, level: int) -> None:
    async def script(scene: Scene) -> None:
        for keepalive in (60, 10):
            client = await scene.client("one")
            await client.say(scene.connect("one", keepalive=keepalive))
            await client.nothing_more()

    await same_to_all(tmp_path, script, level, ["max_keepalive 30"])


@BOTH_VERSIONS
async def test_client_without_a_client_id(tmp_path: Path, level: int) -> None:
    async def script(scene: Scene) -> None:
        for clean in (True, False):
            client = await scene.client(f"nameless, clean={clean}")
            client.send(scene.connect("", clean_session=clean))
            (answer,) = await client.take()
            if isinstance(answer, ConnAck) and answer.code == 0:
                await client.subscribe(("a", 1))
                await client.say(Publish("a", b"x", 1, 2), answers=2)
            else:
                await client.end()

    seen = await same_to_all(tmp_path, script, level)
    refused = seen["nameless, clean=False"][0]
    assert isinstance(refused, ConnAck)
    assert refused.code == (0 if level == 5 else 2)


async def test_nameless_client_of_5_can_come_back_under_the_name_that_it_was_given(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        nameless = await scene.client("nameless")
        (answer,) = await nameless.say(scene.connect("", **scene.keeping()))
        await nameless.leave()
        back = await scene.client("back")
        await back.say(scene.connect(answer.properties.assigned_client_identifier, **scene.keeping()))

    seen = await same_to_all(tmp_path, script, 5)
    assert seen["back"][0].session_present  # type: ignore[union-attr]


async def test_client_of_3_1_is_served(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        old = await scene.login("old", level=3)
        await old.subscribe(("a", 2))
        await answered(old, Publish("a", b"x", 2, 1))

    await same_to_all(tmp_path, script, 4)
