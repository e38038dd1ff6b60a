"""What every link engine must do with messages; see test_conformance for the rules checked each time."""

import pytest

from simulator.device.events import Accepted, LinkLost
from simulator.links.link import LinkOptions
from tests.support.link_bench import EngineFactory, link_bench, messages, outbox_of
from tests.support.mqtt_server import Peer, accepting
from tests.support.waiting import until
from wire.mqtt import ConnAck, Connect, Disconnect, PubAck, Publish, Subscribe


async def test_message_in_flight_is_published_anew_to_a_new_session(engine: EngineFactory) -> None:
    published: list[Publish] = []

    async def dropping(peer: Peer) -> None:
        await peer.accept()
        published.append(await peer.take(Publish))
        peer.finish()

    async def acknowledging(peer: Peer) -> None:
        await peer.accept()
        for _ in range(2):
            published.append(await peer.take(Publish))
            await peer.send(PubAck(published[-1].packet_id))

    async with link_bench(engine, dropping, acknowledging) as bench:
        outbox = outbox_of(*messages(1))
        first = bench.open(1, outbox)
        assert isinstance(await first.owner.ended(), LinkLost)
        outbox.add(messages(1, first=2)[0])
        second = bench.open(2, outbox)
        await until(lambda: second.owner.told("acknowledged") == [1, 2], "both are acknowledged")
        second.close()
    once, again, later = published
    assert (once.payload, again.payload, later.payload) == (b'{"seq":1}', b'{"seq":1}', b'{"seq":2}')
    assert len({once.packet_id, again.packet_id, later.packet_id}) == 3
    assert not any(publish.dup for publish in published)
    assert first.owner.told("acknowledged") == []


@pytest.mark.parametrize("level", [4, 5])
async def test_message_in_flight_is_sent_again_with_dup_to_a_session_that_was_kept(
    engine: EngineFactory, level: int
) -> None:
    published: list[Publish] = []

    async def dropping(peer: Peer) -> None:
        await peer.accept()
        published.append(await peer.take(Publish))
        peer.finish()

    async def remembering(peer: Peer) -> None:
        await peer.accept(session_present=True)
        published.extend([await peer.take(Publish), await peer.take(Publish)])
        await peer.send(*(PubAck(publish.packet_id) for publish in published[1:]))

    async with link_bench(engine, dropping, remembering, options=LinkOptions(level=level, clean=False)) as bench:
        outbox = outbox_of(*messages(1))
        await bench.open(1, outbox).owner.ended()
        outbox.add(messages(1, first=2)[0])
        second = bench.open(2, outbox)
        await until(lambda: second.owner.told("acknowledged") == [1, 2], "both are acknowledged")
        second.close()
    once, again, later = published
    assert (again.packet_id, again.payload, again.dup) == (once.packet_id, once.payload, True)
    assert (later.payload, later.dup) == (b'{"seq":2}', False)


async def test_at_most_twenty_messages_are_in_flight(engine: EngineFactory) -> None:
    async def slow(peer: Peer) -> None:
        await peer.accept()
        ids = [(await peer.take(Publish)).packet_id for _ in range(20)]
        await peer.send(Publish("marker", b"", qos=1, packet_id=1))
        await peer.take(PubAck)  # nothing came between: the window is shut
        await peer.send(PubAck(ids[7]), PubAck(ids[3]))
        ids += [(await peer.take(Publish)).packet_id for _ in range(2)]
        await peer.send(*(PubAck(one) for one in ids if one not in (ids[7], ids[3])))
        for _ in range(3):
            await peer.send(PubAck((await peer.take(Publish)).packet_id))

    async with link_bench(engine, slow) as bench:
        one = bench.open(1, outbox_of(*messages(25)))
        await until(lambda: not len(one.outbox), "everything is acknowledged")
        assert one.owner.told("acknowledged")[:2] == [8, 4]
        assert [seq for batch in one.owner.told("sent") for seq in batch] == list(range(1, 26))
        one.close()


async def test_late_message_waits_for_send_due_and_goes_out_then(engine: EngineFactory) -> None:
    async def acknowledging(peer: Peer) -> None:
        await peer.accept()
        await peer.send(PubAck((await peer.take(Publish)).packet_id))

    async with link_bench(engine, acknowledging) as bench:
        one = bench.open()
        one.link.send_due()  # too early, without effect
        await one.owner.accepted()
        one.outbox.add(messages(1)[0])
        one.link.send_due()
        await until(lambda: one.owner.told("acknowledged") == [1], "the acknowledgement")
        one.close()


async def test_acknowledgement_of_nothing_is_ignored(engine: EngineFactory) -> None:
    async def confused(peer: Peer) -> None:
        await peer.accept()
        await peer.send(PubAck(99), Publish("marker", b"", qos=1, packet_id=1))
        await peer.take(PubAck)

    async with link_bench(engine, confused) as bench:
        one = bench.open()
        await until(lambda: one.owner.told("arrived"), "the marker arrives")
        assert one.owner.told("acknowledged") == []
        one.close()


async def test_downlink_is_acknowledged_after_the_device_saw_it(engine: EngineFactory) -> None:
    seen_at_acknowledgement: list[list[object]] = []

    async def commanding(peer: Peer) -> None:
        await peer.accept()
        await peer.send(Publish("down/0", b"zero"), Publish("down/1", b"one", qos=1, packet_id=513))
        assert await peer.take(PubAck) == PubAck(513)
        seen_at_acknowledgement.append(bench.opened[0].owner.told("arrived"))

    async with link_bench(engine, commanding) as bench:
        one = bench.open()
        await until(lambda: seen_at_acknowledgement, "the acknowledgement")
        one.close()
    assert seen_at_acknowledgement == [[("down/0", b"zero"), ("down/1", b"one")]]


async def test_downlink_in_the_segment_of_connack_is_heard_after_accepted(engine: EngineFactory) -> None:
    async def remembering(peer: Peer) -> None:
        await peer.take(Connect)
        await peer.send(ConnAck(0, True), *(Publish(f"down/{number}", b"") for number in range(3)))
        peer.finish()

    async with link_bench(engine, remembering, options=LinkOptions(clean=False)) as bench:
        one = bench.open()
        lost = await one.owner.ended()
    heard = [("arrived", (f"down/{number}", b"")) for number in range(3)]
    assert one.owner.story == [Accepted(1, session_present=True), *heard, lost]


async def test_downlink_on_which_the_device_closes_is_not_acknowledged(engine: EngineFactory) -> None:
    async def commanding(peer: Peer) -> None:
        await peer.accept()
        await peer.send(Publish("down", b"", qos=1, packet_id=1), Publish("down", b"", qos=1, packet_id=2))

    async with link_bench(engine, commanding) as bench:
        one = bench.open()
        arrived = one.owner.message_arrived

        def arrive_and_close(topic: str, payload: bytes) -> None:
            arrived(topic, payload)
            one.close()

        one.owner.message_arrived = arrive_and_close  # type: ignore[method-assign]
        await until(lambda: bench.server.peers and bench.server.peers[0].gone.is_set(), "the client leaves")
        assert one.owner.told("arrived") == [("down", b"")]
    assert bench.server.peers[0].packets[1:] == [Disconnect()]


async def test_cut_on_an_acknowledgement_keeps_the_rules(engine: EngineFactory) -> None:
    async def acknowledging(peer: Peer) -> None:
        await peer.accept()
        await peer.send(PubAck((await peer.take(Publish)).packet_id), Publish("late", b""))

    async with link_bench(engine, acknowledging) as bench:
        one = bench.open(1, outbox_of(*messages(1)))
        one.owner.message_acknowledged = lambda _message: one.link.cut("network down")  # type: ignore[method-assign]
        assert await one.owner.ended() == LinkLost(1, "network down")
        assert one.owner.told("arrived") == []


@pytest.mark.parametrize("level", [4, 5])
async def test_subscription_and_unacknowledged_message_reach_the_wire(engine: EngineFactory, level: int) -> None:
    async with link_bench(engine, accepting, options=LinkOptions(level=level)) as bench:
        one = bench.open()
        await one.owner.accepted()
        one.link.subscribe("down/#", 1)
        one.link.publish("up", b"x")
        await until(lambda: len(bench.server.peers[0].packets) == 3, "both arrive")
        one.close()
    subscribe, publish = bench.server.peers[0].packets[1:3]
    assert isinstance(subscribe, Subscribe)
    assert subscribe == Subscribe(subscribe.packet_id, (("down/#", 1),))
    assert publish == Publish("up", b"x")
