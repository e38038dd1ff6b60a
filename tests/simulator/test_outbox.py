"""Messages that outlive their link: window, order, packet ids, and what a new connection sends again."""

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from simulator.links.outbox import IN_FLIGHT_WINDOW, MAX_PACKET_ID, Message, Outbox, as_publish, at_most
from wire.mqtt import NO_PROPERTIES, Properties, Publish, Subscribe


def filled(count: int) -> Outbox:
    outbox = Outbox()
    for seq in range(1, count + 1):
        outbox.add(Message(seq, "topic", b"%d" % seq))
    return outbox


def seqs(messages: list[Message]) -> list[int]:
    return [message.seq for message in messages]


def ids(messages: list[Message]) -> list[int]:
    return [message.packet_id for message in messages]


def test_the_window_bounds_what_is_in_flight() -> None:
    outbox = filled(IN_FLIGHT_WINDOW + 5)
    first = outbox.due()
    assert seqs(first) == list(range(1, IN_FLIGHT_WINDOW + 1))
    assert outbox.due() == []
    assert len(outbox) == IN_FLIGHT_WINDOW + 5


def test_each_acknowledgement_makes_room_for_the_next_message_in_order() -> None:
    outbox = filled(IN_FLIGHT_WINDOW + 5)
    first = outbox.due()
    assert outbox.acknowledge(first[7].packet_id) is first[7]
    assert seqs(outbox.due()) == [IN_FLIGHT_WINDOW + 1]
    for message in first[:3]:
        outbox.acknowledge(message.packet_id)
    assert seqs(outbox.due()) == [IN_FLIGHT_WINDOW + number for number in (2, 3, 4)]
    assert len(outbox) == IN_FLIGHT_WINDOW + 1


def test_an_acknowledgement_of_nothing_is_nobody_s() -> None:
    outbox = filled(1)
    (message,) = outbox.due()
    assert outbox.acknowledge(message.packet_id + 1) is None
    assert outbox.acknowledge(message.packet_id) is message
    assert outbox.acknowledge(message.packet_id) is None
    assert len(outbox) == 0


def test_a_kept_session_gets_the_same_messages_with_the_same_ids_before_any_new_one() -> None:
    outbox = filled(IN_FLIGHT_WINDOW + 5)
    first = outbox.due()
    outbox.acknowledge(first[1].packet_id)
    before = [(message.seq, message.packet_id) for message in first if message is not first[1]]

    again = outbox.resume(session_present=True)

    assert [(message.seq, message.packet_id) for message in again] == before
    assert seqs(outbox.due()) == [IN_FLIGHT_WINDOW + 1]


def test_a_new_session_gets_everything_anew_in_order_with_new_ids() -> None:
    outbox = filled(IN_FLIGHT_WINDOW + 5)
    first = outbox.due()
    outbox.acknowledge(first[1].packet_id)
    old = set(ids(first))

    assert outbox.resume(session_present=False) == []
    assert {message.packet_id for message in first if message is not first[1]} == {0}
    anew = outbox.due()

    assert seqs(anew) == [1, *range(3, IN_FLIGHT_WINDOW + 2)]
    assert old.isdisjoint(ids(anew))
    assert len(outbox) == IN_FLIGHT_WINDOW + 4


def test_a_late_acknowledgement_of_an_old_id_takes_nothing_from_a_new_session() -> None:
    outbox = filled(3)
    old = ids(outbox.due())
    outbox.resume(session_present=False)
    outbox.due()
    assert [outbox.acknowledge(packet_id) for packet_id in old] == [None] * 3
    assert len(outbox) == 3


def test_an_empty_outbox_resumes_to_nothing() -> None:
    for session_present in (True, False):
        outbox = Outbox()
        assert outbox.resume(session_present=session_present) == []
        assert outbox.due() == []
        assert len(outbox) == 0


def test_a_resumed_outbox_keeps_what_was_added_while_it_was_offline_behind() -> None:
    outbox = filled(2)
    outbox.due()
    outbox.add(Message(3, "topic", b""))
    outbox.resume(session_present=False)
    outbox.add(Message(4, "topic", b""))
    assert seqs(outbox.due()) == [1, 2, 3, 4]


def test_packet_ids_wrap_after_the_last_and_pass_over_those_in_flight() -> None:
    outbox = filled(1)
    (held,) = outbox.due()
    assert held.packet_id == 1
    drawn = [outbox.next_packet_id() for _ in range(MAX_PACKET_ID)]
    assert drawn[:2] == [2, 3]
    assert drawn[-2:] == [MAX_PACKET_ID, 2]
    assert 0 not in drawn


def test_messages_keep_their_order_over_the_wrap() -> None:
    outbox = filled(4)
    for _ in range(MAX_PACKET_ID - 2):
        outbox.next_packet_id()
    assert ids(outbox.due()) == [MAX_PACKET_ID - 1, MAX_PACKET_ID, 1, 2]
    assert seqs(outbox.resume(session_present=True)) == [1, 2, 3, 4]


def test_a_subscription_never_takes_the_id_of_a_message_in_flight() -> None:
    outbox = filled(IN_FLIGHT_WINDOW)
    taken = ids(outbox.due())
    drawn = {outbox.next_packet_id() for _ in range(MAX_PACKET_ID - IN_FLIGHT_WINDOW)}
    assert len(drawn) == MAX_PACKET_ID - IN_FLIGHT_WINDOW
    assert drawn.isdisjoint(taken)


def test_a_message_is_published_with_its_id_and_dup_only_when_told() -> None:
    publish = as_publish(Message(1, "topic", b"body", packet_id=9))
    assert (publish.topic, publish.payload, publish.qos, publish.packet_id) == ("topic", b"body", 1, 9)
    assert not publish.dup
    assert as_publish(Message(1, "topic", b"body", packet_id=9), dup=True).dup


@given(st.lists(st.sampled_from(["add", "due", "first", "last", "kept", "new"]), max_size=120))
def test_whatever_happens_each_message_is_delivered_once_and_the_books_agree(steps: list[str]) -> None:
    outbox, seq, acknowledged = Outbox(), 0, []
    waiting: deque[int] = deque()
    flying: list[Message] = []
    for step in steps:
        match step:
            case "add":
                seq += 1
                outbox.add(Message(seq, "topic", b""))
                waiting.append(seq)
            case "due":
                sent = outbox.due()
                assert seqs(sent) == [waiting.popleft() for _ in sent]
                flying += sent
                assert len(flying) == IN_FLIGHT_WINDOW or not waiting
            case "first" | "last" if flying:
                message = flying.pop(0 if step == "first" else -1)
                assert outbox.acknowledge(message.packet_id) is message
                acknowledged.append(message.seq)
            case "kept":
                assert outbox.resume(session_present=True) == flying
            case "new":
                assert outbox.resume(session_present=False) == []
                waiting.extendleft(reversed(seqs(flying)))
                flying = []
        assert len(set(ids(flying))) == len(flying) <= IN_FLIGHT_WINDOW
        assert len(outbox) == len(waiting) + len(flying)
    assert sorted([*acknowledged, *seqs(flying), *waiting]) == list(range(1, seq + 1))


def test_what_the_platform_does_not_take_is_told_and_not_sent() -> None:
    told: list[tuple[str, int | None]] = []
    outbox = Outbox(lambda topic, seq: told.append((topic, seq)))
    for seq, payload in enumerate((b"fits", b"x" * 100, b"fits"), 1):
        outbox.add(Message(seq, "topic", payload))
    outbox.obey(Properties(maximum_packet_size=16))
    assert seqs(outbox.due()) == [1, 3]
    assert told == [("topic", 2)]
    assert [outbox.admits(Publish("t", b"x" * size)) for size in (10, 11)] == [True, False]
    assert [outbox.admits(Subscribe(1, (("f" * size, 1),))) for size in (8, 9)] == [True, False]
    assert told[1:] == [("t", None), ("f" * 9, None)]


def test_kept_session_of_a_platform_that_takes_less_now_gets_only_what_fits() -> None:
    outbox = filled(2)
    outbox.add(Message(3, "topic", b"x" * 100))
    assert seqs(outbox.due()) == [1, 2, 3]
    outbox.obey(Properties(maximum_packet_size=50))
    assert seqs(outbox.resume(session_present=True)) == [1, 2]
    assert len(outbox) == 2


def test_limits_hold_for_one_connection() -> None:
    outbox = filled(3)
    outbox.obey(Properties(receive_maximum=1, maximum_packet_size=2))
    assert outbox.due() == []
    outbox.add(Message(4, "topic", b""))
    outbox.obey(NO_PROPERTIES)
    assert seqs(outbox.due()) == [4]


@given(st.text(max_size=40), st.binary(max_size=200), st.integers(0, 1))
def test_bound_on_a_packets_size_is_one(text: str, payload: bytes, qos: int) -> None:
    topic = text.replace("\0", "x") or "t"
    for packet in (Publish(topic, payload, qos, qos), Subscribe(1, ((topic, 1),))):
        assert len(packet.encode(5)) <= at_most(packet)
