"""One side of a conversation, played against datagrams written by hand; aiocoap's codec makes and reads the test's."""

from dataclasses import dataclass, field

import pytest

from wire.coap import (
    Acknowledged,
    CoapPeer,
    Code,
    Failed,
    Failure,
    Message,
    Rejected,
    Request,
    Response,
    Type,
    decode,
    encode,
)
from wire.coap.peer import MAX_TRANSMIT_WAIT_S, NEVER, REMEMBERED

PING = bytes.fromhex("40001234")
RESET_OF_PING = bytes.fromhex("70001234")


@dataclass
class Side:
    """A peer whose datagrams are kept; its jitter is none, so that it resends after 2, 4, 8 … seconds."""

    sent: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.peer = CoapPeer(self.sent.append, 0x0FFF, lambda: 0.0)

    def last(self) -> Message:
        return decode(self.sent[-1])

    def ask(self, now: float = 0.0, **options: object) -> bytes:
        return self.peer.request(Message(code=Code.GET, uri_path=("19", "0", "0"), **options), now)

    def observe(self) -> bytes:
        token = self.ask(observe=0)
        assert len(self.peer.receive(reply(self.last(), Code.CONTENT, observe=1), 0.0)) == 1
        return token


def message(kind: Type, mid: int, code: Code = Code.GET, token: bytes = b"", **options: object) -> bytes:
    made = Message(code=code, **options)
    made.mtype, made.mid, made.token = kind, mid, token
    return encode(made)


def reply(request: Message, code: Code, **options: object) -> bytes:
    return message(Type.ACK, request.mid, code, request.token, **options)


def empty(kind: Type, mid: int) -> bytes:
    return message(kind, mid, Code.EMPTY)


def test_request_is_confirmable_and_carries_a_token_of_its_own() -> None:
    side = Side()
    first, second = side.ask(), side.ask()
    assert first != second
    assert side.last().mtype is Type.CON
    assert side.last().token == first, "the second waits for the first (NSTART = 1)"


def test_piggybacked_answer_ends_the_request_and_lets_the_next_one_go() -> None:
    side = Side()
    first, second = side.ask(), side.ask()
    (answer,) = side.peer.receive(reply(side.last(), Code.CONTENT, payload=b"x"), 0.1)
    assert isinstance(answer, Response)
    assert (answer.token, answer.message.payload) == (first, b"x")
    assert side.last().token == second
    side.peer.receive(reply(side.last(), Code.CONTENT), 0.2)
    assert side.peer.wake_at == NEVER


def test_confirmable_request_is_sent_five_times_with_doubling_waits_and_then_given_up() -> None:
    side, due = Side(), []
    token = side.ask()
    while (at := side.peer.wake_at) != NEVER:
        due.append(at)
        events = side.peer.wake(at)
    assert due == [2, 6, 14, 30, 62]
    assert events == [Failed(token, Failure.TIMEOUT)]
    assert len(side.sent) == 5
    assert len(set(side.sent)) == 1


def test_wait_is_up_to_half_as_long_again_by_jitter() -> None:
    sent: list[bytes] = []
    peer = CoapPeer(sent.append, 1, lambda: 0.999)
    peer.request(Message(code=Code.GET), 0.0)
    assert 2.99 < peer.wake_at < 3.0


def test_waking_too_early_sends_nothing() -> None:
    side = Side()
    side.ask()
    assert side.peer.wake(1.9) == []
    assert len(side.sent) == 1


def test_reset_fails_the_request_at_once() -> None:
    side = Side()
    token = side.ask()
    assert side.peer.receive(empty(Type.RST, side.last().mid), 0.1) == [Failed(token, Failure.RESET)]
    assert side.peer.wake_at == NEVER


@pytest.mark.parametrize("kind", [Type.CON, Type.NON])
def test_answer_may_come_in_a_message_of_its_own_after_the_acknowledgement(kind: Type) -> None:
    side = Side()
    token = side.ask()
    assert side.peer.receive(empty(Type.ACK, side.last().mid), 1.0) == []
    assert side.peer.wake_at == 1.0 + MAX_TRANSMIT_WAIT_S
    (answer,) = side.peer.receive(message(kind, 9, Code.CONTENT, token), 2.0)
    assert isinstance(answer, Response)
    expected = [empty(Type.ACK, 9)] if kind is Type.CON else []
    assert side.sent[1:] == expected
    assert side.peer.wake_at == NEVER


def test_answer_whose_acknowledgement_was_lost_stops_the_resending() -> None:
    side = Side()
    token = side.ask()
    assert len(side.peer.receive(message(Type.CON, 9, Code.CONTENT, token), 1.0)) == 1
    assert side.peer.wake_at == NEVER


def test_answer_that_never_follows_its_acknowledgement_is_waited_for_93_seconds() -> None:
    side = Side()
    token = side.ask()
    side.peer.receive(empty(Type.ACK, side.last().mid), 1.0)
    assert side.peer.wake(93.9) == []
    assert side.peer.wake(94.0) == [Failed(token, Failure.TIMEOUT)]


def test_acknowledgement_with_another_token_or_of_another_message_is_no_answer() -> None:
    side = Side()
    side.ask()
    mid, token = side.last().mid, side.last().token
    assert side.peer.receive(message(Type.ACK, mid, Code.CONTENT, b"zz"), 0.1) == []
    assert side.peer.receive(message(Type.ACK, mid ^ 1, Code.CONTENT, token), 0.1) == []
    assert side.peer.wake_at == 2.0


def test_repeated_confirmable_answer_is_acknowledged_again_and_delivered_once() -> None:
    side = Side()
    token = side.observe()
    notification = message(Type.CON, 9, Code.CONTENT, token, observe=2)
    assert len(side.peer.receive(notification, 1.0)) == 1
    assert side.peer.receive(notification, 2.0) == []
    assert side.sent[-2:] == [empty(Type.ACK, 9)] * 2


def test_answer_whose_acknowledgement_the_peer_has_missed_is_not_rejected_afterwards() -> None:
    """The same acknowledgement for every copy (RFC 7252 §4.2), though the request is over by then."""
    side = Side()
    token = side.ask()
    side.peer.receive(empty(Type.ACK, side.last().mid), 0.1)
    answer = message(Type.CON, 7, Code.CONTENT, token)
    assert len(side.peer.receive(answer, 0.2)) == 1
    assert side.peer.receive(answer, 2.2) == []
    assert side.sent[-2:] == [empty(Type.ACK, 7)] * 2


@pytest.mark.parametrize("kind", [Type.CON, Type.NON])
def test_answer_that_nobody_waits_for_is_rejected(kind: Type) -> None:
    side = Side()
    assert side.peer.receive(message(kind, 9, Code.CONTENT, b"zz"), 0.0) == []
    assert side.sent == [empty(Type.RST, 9)]


def test_observation_delivers_until_it_is_forgotten_and_then_rejects() -> None:
    side = Side()
    token = side.observe()
    assert side.peer.wake_at == NEVER
    for number in (2, 3):
        assert len(side.peer.receive(message(Type.NON, number, Code.CONTENT, token, observe=number), 1.0)) == 1
    side.peer.forget(token)
    assert side.peer.receive(message(Type.NON, 4, Code.CONTENT, token, observe=4), 1.0) == []
    assert side.sent[-1] == empty(Type.RST, 4)


def test_notification_that_was_overtaken_is_dropped_for_two_minutes() -> None:
    side = Side()
    token = side.observe()
    assert len(side.peer.receive(message(Type.NON, 5, Code.CONTENT, token, observe=7), 1.0)) == 1
    assert side.peer.receive(message(Type.NON, 6, Code.CONTENT, token, observe=6), 2.0) == []
    assert len(side.peer.receive(message(Type.NON, 7, Code.CONTENT, token, observe=6), 130.0)) == 1


def test_observe_numbers_wrap_around_at_24_bits() -> None:
    side = Side()
    token = side.observe()
    assert len(side.peer.receive(message(Type.NON, 5, Code.CONTENT, token, observe=(1 << 23)), 1.0)) == 1
    assert len(side.peer.receive(message(Type.NON, 6, Code.CONTENT, token, observe=(1 << 24) - 1), 1.0)) == 1
    assert len(side.peer.receive(message(Type.NON, 7, Code.CONTENT, token, observe=3), 1.0)) == 1


def test_observation_ends_with_an_error_or_an_answer_without_a_number() -> None:
    for last in ({"code": Code.NOT_FOUND, "observe": 9}, {"code": Code.CONTENT}):
        side = Side()
        token = side.observe()
        assert len(side.peer.receive(message(Type.NON, 5, token=token, **last), 1.0)) == 1
        assert side.peer.receive(message(Type.NON, 6, Code.CONTENT, token, observe=10), 1.0) == []


def test_confirmable_request_is_handed_over_once_and_answered_alike_every_time() -> None:
    side, asked = Side(), message(Type.CON, 77, Code.PUT, b"t1", uri_path=("19", "1", "0"))
    (event,) = side.peer.receive(asked, 0.0)
    assert isinstance(event, Request)
    side.peer.respond(event.message, Message(code=Code.CHANGED), 0.0)
    assert side.peer.receive(asked, 5.0) == []
    assert side.sent == [message(Type.ACK, 77, Code.CHANGED, b"t1")] * 2


def test_repetition_before_the_answer_is_not_handed_over_twice() -> None:
    side, asked = Side(), message(Type.CON, 77, token=b"t1")
    assert len(side.peer.receive(asked, 0.0)) == 1
    assert side.peer.receive(asked, 1.0) == []
    assert side.sent == []


def test_message_id_counts_as_new_after_247_seconds() -> None:
    side, asked = Side(), message(Type.CON, 77)
    assert len(side.peer.receive(asked, 0.0)) == 1
    assert side.peer.receive(asked, 246.9) == []
    assert len(side.peer.receive(asked, 247.0)) == 1


def test_only_the_last_few_message_ids_are_remembered() -> None:
    side = Side()
    for mid in range(REMEMBERED + 1):
        assert len(side.peer.receive(message(Type.CON, mid), 0.0)) == 1
    assert side.peer.receive(message(Type.CON, 1), 0.0) == []
    assert len(side.peer.receive(message(Type.CON, 0), 0.0)) == 1


def test_request_that_is_not_confirmable_is_answered_in_kind() -> None:
    side = Side()
    (event,) = side.peer.receive(message(Type.NON, 5, token=b"t"), 0.0)
    assert isinstance(event, Request)
    side.peer.respond(event.message, Message(code=Code.CONTENT), 0.0)
    assert (side.last().mtype, side.last().token) == (Type.NON, b"t")
    assert side.last().mid != 5


def test_unknown_critical_option_is_refused_and_an_elective_one_is_not() -> None:
    side = Side()
    block = message(Type.CON, 1, Code.PUT, b"t", block1=(0, True, 6), payload=b"x" * 1024)
    assert side.peer.receive(block, 0.0) == []
    assert (side.last().code, side.last().token, side.last().mid) == (Code.BAD_OPTION, b"t", 1)
    assert len(side.peer.receive(message(Type.CON, 2, Code.PUT, size1=7), 0.0)) == 1


def test_ping_is_answered_by_a_reset() -> None:
    side = Side()
    assert side.peer.receive(PING, 0.0) == []
    assert side.sent == [RESET_OF_PING]


def test_notification_that_is_reset_tells_whose_it_was() -> None:
    side = Side()
    for payload in (b"1", b"2"):
        side.peer.notify(b"o1", Message(code=Code.CONTENT, observe=2, payload=payload), 0.0)
    mid = side.last().mid
    assert side.peer.receive(empty(Type.RST, mid - 1), 0.0) == [], "only the last one of a token is remembered"
    assert side.peer.receive(empty(Type.RST, mid), 0.0) == [Rejected(b"o1", Failure.RESET)]
    assert side.peer.receive(empty(Type.RST, mid), 0.0) == []


def test_confirmable_notification_tells_that_it_was_acknowledged_and_lets_the_next_one_go() -> None:
    side = Side()
    for payload in (b"one", b"two"):
        side.peer.notify(b"o1", Message(code=Code.CONTENT, observe=2, payload=payload), 0.0, confirmable=True)
    assert side.peer.receive(empty(Type.ACK, side.last().mid), 0.1) == [Acknowledged(b"o1")]
    assert side.last().payload == b"two"


def test_confirmable_notification_that_nobody_acknowledges_is_given_up() -> None:
    side = Side()
    side.peer.notify(b"o1", Message(code=Code.CONTENT, observe=2), 0.0, confirmable=True)
    events = []
    while (at := side.peer.wake_at) != NEVER:
        events += side.peer.wake(at)
    assert events == [Rejected(b"o1", Failure.TIMEOUT)]


def test_forgotten_request_fails_in_silence_and_one_that_waited_is_not_sent() -> None:
    side = Side()
    first, second = side.ask(), side.ask()
    side.peer.forget(first)
    side.peer.forget(second)
    assert side.peer.receive(empty(Type.RST, side.last().mid), 0.0) == []
    assert len(side.sent) == 1
    assert side.peer.wake_at == NEVER


def test_what_waits_for_its_acknowledgement_goes_once_more_when_the_other_side_is_heard() -> None:
    """The plan of the retransmissions stays what it was, and so does the moment of giving up."""
    side = Side()
    token = side.ask()
    side.peer.hurry(1.9)
    assert len(side.sent) == 1
    side.peer.hurry(2.0)
    side.peer.hurry(3.9)
    assert len(side.sent) == 2
    side.peer.hurry(4.0)
    assert len(side.sent) == 3
    due = []
    while (at := side.peer.wake_at) != NEVER:
        due.append(at)
        events = side.peer.wake(at)
        side.peer.hurry(at + 1)
    assert due == [2, 6, 14, 30, 62]
    assert events == [Failed(token, Failure.TIMEOUT)]
    assert len(set(side.sent)) == 1


def test_nothing_is_hurried_when_nothing_waits_for_its_acknowledgement() -> None:
    side = Side()
    side.observe()
    side.peer.hurry(100.0)
    assert len(side.sent) == 1


def test_cancelled_request_is_sent_no_more_and_the_next_one_goes() -> None:
    side = Side()
    first, second, third = side.ask(), side.ask(), side.ask()
    side.peer.cancel((first, second), 1.0)
    assert [decode(one).token for one in side.sent] == [first, third]
    side.peer.cancel((third,), 1.0)
    assert side.peer.wake_at == NEVER


def test_cancelling_what_is_over_disturbs_nothing_that_is_under_way() -> None:
    side = Side()
    observed = side.observe()
    token = side.ask()
    side.peer.cancel((observed,), 1.0)
    assert side.peer.wake_at == 2.0
    assert side.last().token == token
