"""What becomes of one message for one device."""

from broker.access.delivery import Delivery, Fate
from broker.access.queue import Message
from broker.access.terms import Terms
from broker.journal import Journal
from broker.sessions import Session, Sessions
from broker.statistics import Statistics
from broker.stored import StoredStates
from tests.broker.rig import FakeClock
from tests.broker.test_sessions import RecordingLink, session

X = Message("t", b"x")
LARGE = Message("t", b"x" * 1000)


class Desk:
    """A delivery with a window of two, a queue of three, and whoever is put online or away."""

    def __init__(self) -> None:
        clock = FakeClock()
        self.now = clock.now()
        self.statistics = Statistics()
        self.sessions = Sessions()
        journal = Journal(None, clock, lambda _: None, 10)
        self.stored = StoredStates(journal, clock)
        self.delivery = Delivery(self.sessions, self.stored, journal, self.statistics, clock)

    def online(self, terms: Terms | None = None) -> tuple[Session, RecordingLink]:
        link = RecordingLink()
        one = session(link=link)
        one.terms = terms or one.terms
        self.sessions.attach(one)
        return one, link

    def away(self) -> None:
        one = session()
        one.keep_s = 60
        self.stored.leave(one)


def test_window_sends_and_the_queue_waits() -> None:
    desk = Desk()
    _, link = desk.online()
    assert [desk.delivery.to_device("d1", X, 1) for _ in range(3)] == [Fate.SENT, Fate.SENT, Fate.WAITING]
    assert len(link.sent) == 2


def test_full_queue_drops_an_older_message_and_keeps_this_one() -> None:
    desk = Desk()
    desk.online()
    assert [desk.delivery.to_device("d1", X, 1) for _ in range(7)][-1] is Fate.WAITING
    assert desk.statistics.dropped_queue_full == 2


def test_qos_0_is_sent_past_a_full_window() -> None:
    desk = Desk()
    desk.online()
    fates = [desk.delivery.to_device("d1", X, qos) for qos in (1, 1, 1, 0)]
    assert fates[-1] is Fate.SENT


def test_message_that_the_device_does_not_take_is_dropped_and_leaves_the_window_free() -> None:
    desk = Desk()
    one, link = desk.online(Terms(5, maximum_packet_size=100))
    assert [desk.delivery.to_device("d1", LARGE, qos) for qos in (0, 1, 1, 1)] == [Fate.DROPPED] * 4
    assert desk.delivery.to_device("d1", X, 1) is Fate.SENT
    assert (desk.statistics.dropped_too_large, len(link.sent), one.downlinks.held) == (4, 1, 1)


def test_message_that_has_expired_is_dropped() -> None:
    desk = Desk()
    desk.online()
    assert desk.delivery.to_device("d1", Message("t", b"x", expires_at=desk.now), 1) is Fate.DROPPED
    assert desk.statistics.dropped_expired == 1


def test_device_that_is_away_keeps_qos_1_only() -> None:
    desk = Desk()
    desk.away()
    assert [desk.delivery.to_device("d1", X, qos) for qos in (0, 1)] == [Fate.DROPPED, Fate.WAITING]


def test_nobody_gets_nothing() -> None:
    assert Desk().delivery.to_device("d1", X, 1) is Fate.DROPPED
