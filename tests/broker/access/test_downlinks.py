"""What one session gets: granted QoS, window, queue."""

from hypothesis import given
from hypothesis import strategies as st

from broker.access.downlinks import MAX_PACKET_ID, Downlinks, Message
from wire.mqtt import Publish

TOPIC = "$oc/devices/d1/sys/commands/request_id=1"


def downlinks(window: int = 2, queue_limit: int = 3, queue_bytes: int = 1000) -> Downlinks:
    return Downlinks(window, queue_limit, queue_bytes)


def test_downlinks_are_qos_0_until_a_subscription_raises_them() -> None:
    one = downlinks()
    one.revoke("never/granted")
    assert one.granted_qos(TOPIC) == 0
    one.grant("$oc/devices/d1/sys/commands/#", 1)
    one.grant("$oc/devices/d1/#", 0)
    assert one.granted_qos(TOPIC) == 1
    assert one.granted_qos("$oc/devices/d1/sys/messages/down") == 0
    one.revoke("$oc/devices/d1/sys/commands/#")
    assert one.granted_qos(TOPIC) == 0


def test_qos_0_goes_out_at_once_without_packet_id() -> None:
    one = downlinks(window=1)
    assert [one.offer(Message("t", b"x"), 0) for _ in range(3)] == [Publish("t", b"x")] * 3


def test_window_holds_back_and_acknowledgements_move_it() -> None:
    one = downlinks(window=2)
    assert [one.offer(Message("t", b"%d" % number), 1) for number in range(4)] == [
        Publish("t", b"0", 1, 1),
        Publish("t", b"1", 1, 2),
        None,
        None,
    ]
    assert one.acknowledged(2) == Publish("t", b"2", 1, 3)
    assert one.acknowledged(1) == Publish("t", b"3", 1, 4)
    assert one.acknowledged(3) is None


def test_full_queue_drops_the_oldest() -> None:
    one = downlinks(window=1, queue_limit=2)
    for number in range(3):
        one.offer(Message("t", b"%d" % number), 1)
    assert one.dropped == 0
    one.offer(Message("t", b"3"), 1)
    assert one.dropped == 1
    following = one.acknowledged(1)
    assert following
    assert following.payload == b"2"


def test_acknowledgement_of_nothing_is_ignored() -> None:
    one = downlinks()
    assert one.acknowledged(9) is None
    one.offer(Message("t", b"x"), 1)
    assert one.acknowledged(9) is None


def test_packet_ids_wrap_and_skip_what_is_in_flight() -> None:
    one = downlinks(window=2)
    assert one.offer(Message("t", b"held"), 1) == Publish("t", b"held", 1, 1)
    for number in range(2, MAX_PACKET_ID + 1):
        packet = one.offer(Message("t", b"x"), 1)
        assert packet
        assert packet.packet_id == number
        one.acknowledged(number)
    wrapped = one.offer(Message("t", b"x"), 1)
    assert wrapped
    assert wrapped.packet_id == 2


@given(st.lists(st.one_of(st.just("offer"), st.integers(1, 12))), st.integers(1, 4), st.integers(1, 4))
def test_messages_keep_their_order_and_never_exceed_the_window(
    steps: list[str | int], window: int, queue_limit: int
) -> None:
    one, sent, in_flight, offered = downlinks(window, queue_limit), list[int](), set[int](), 0
    for step in steps:
        if step == "offer":
            packet = one.offer(Message("t", b"%d" % offered), 1)
            offered += 1
        else:
            assert isinstance(step, int)
            packet = one.acknowledged(step)
            in_flight.discard(step)
        if packet:
            assert packet.packet_id not in in_flight
            in_flight.add(packet.packet_id)
            sent.append(int(packet.payload))
        assert len(in_flight) <= window
    assert sent == sorted(sent)


def test_queue_is_bounded_in_bytes_and_drops_the_oldest() -> None:
    one = downlinks(window=1, queue_limit=100, queue_bytes=30)
    offered = [one.offer(Message("t", b"%d........." % number), 1) for number in range(6)]
    assert offered[1:] == [None] * 5
    assert one.dropped == 3
    following = [one.acknowledged(packet_id) for packet_id in range(1, 4)]
    assert [packet and packet.payload[:1] for packet in following] == [b"4", b"5", None]


def test_message_larger_than_the_whole_queue_waits_alone() -> None:
    one = downlinks(window=1, queue_limit=100, queue_bytes=30)
    for payload in (b"in flight", b"small", b"x" * 50):
        one.offer(Message("t", payload), 1)
    assert one.dropped == 1
    assert one.offer(Message("t", b"next"), 1) is None
    assert one.dropped == 2
    following = one.acknowledged(1)
    assert following
    assert following.payload == b"next"


def test_room_in_the_queue_comes_back_when_it_drains() -> None:
    one = downlinks(window=1, queue_limit=100, queue_bytes=30)
    one.offer(Message("t", b"first"), 1)
    for number in range(1, 50):
        one.offer(Message("t", b"x" * 25), 1)
        assert one.acknowledged(number)
    assert one.dropped == 0
