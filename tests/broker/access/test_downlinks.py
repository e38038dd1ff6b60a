"""What one device gets: granted QoS, window, queue, and all of it again after a suspension."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from broker.access.downlinks import MAX_PACKET_ID, Downlinks
from broker.access.queue import Bounds, Message
from wire.mqtt import Properties, Publish

TOPIC = "$oc/devices/d1/sys/commands/request_id=1"
NOW = 100.0


def downlinks(window: int = 2, queue_limit: int = 3) -> Downlinks:
    return Downlinks(window, Bounds(queue_limit, 1000))


def message(number: int) -> Message:
    return Message("t", b"%d" % number)


def offer(one: Downlinks, *numbers: int) -> list[Publish | Message]:
    """Offer messages, each followed by what may go then; returns what went."""
    went = []
    for number in numbers:
        one.offer(message(number))
        went += pumped(one)
    return went


def pumped(one: Downlinks, now: float = NOW) -> list[Publish | Message]:
    went = []
    while (found := one.next_packet(now)) is not None:
        went.append(found)
    return went


def sent(number: int, packet_id: int, *, dup: bool = False) -> Publish:
    return Publish("t", b"%d" % number, 1, packet_id, dup=dup)


def test_downlinks_are_qos_0_until_a_subscription_raises_them() -> None:
    one = downlinks()
    assert not one.revoke("never/granted")
    assert one.granted_qos(TOPIC) == 0
    one.grant("$oc/devices/d1/sys/commands/#", 1)
    one.grant("$oc/devices/d1/#", 0)
    assert one.granted_qos(TOPIC) == 1
    assert one.granted_qos("$oc/devices/d1/sys/messages/down") == 0
    assert one.revoke("$oc/devices/d1/sys/commands/#")
    assert one.granted_qos(TOPIC) == 0


def test_subscription_is_told_from_none() -> None:
    one = downlinks()
    assert one.subscribed_qos(TOPIC) is None
    one.grant("$oc/devices/d1/#", 0)
    assert one.subscribed_qos(TOPIC) == 0
    one.grant(TOPIC, 1)
    assert one.subscribed_qos(TOPIC) == 1


def test_unacknowledged_is_what_was_sent_and_what_waits() -> None:
    one = downlinks(window=2)
    assert one.unacknowledged == []
    offer(one, 0, 1, 2, 3)
    one.acknowledged(1)
    pumped(one)
    assert one.unacknowledged == [message(1), message(2), message(3)]


def test_message_without_packet_id_is_qos_0() -> None:
    assert message(1).packet(NOW) == Publish("t", b"1")


def test_window_holds_back_and_acknowledgements_move_it() -> None:
    one = downlinks(window=2)
    assert offer(one, 0, 1, 2, 3) == [sent(0, 1), sent(1, 2)]
    assert one.has_waiting
    one.acknowledged(2)
    assert pumped(one) == [sent(2, 3)]
    one.acknowledged(1)
    assert pumped(one) == [sent(3, 4)]
    assert not one.has_waiting


def test_full_queue_drops_the_oldest_that_was_not_sent() -> None:
    one = downlinks(window=1, queue_limit=2)
    offer(one, 0, 1, 2)
    assert one.offer(message(3)) == [message(1)]
    one.acknowledged(1)
    assert pumped(one) == [sent(2, 2)]


def test_acknowledgement_of_nothing_is_ignored() -> None:
    one = downlinks(window=1)
    one.acknowledged(9)
    offer(one, 0, 1)
    one.acknowledged(9)
    assert pumped(one) == []


def test_packet_ids_wrap_and_skip_what_is_in_flight() -> None:
    one = downlinks(window=2)
    assert offer(one, 0) == [sent(0, 1)]
    for number in range(2, MAX_PACKET_ID + 1):
        assert offer(one, number) == [sent(number, number)]
        one.acknowledged(number)
    assert offer(one, 7) == [sent(7, 2)]


def test_suspended_state_sends_nothing_and_resumes_with_what_was_not_acknowledged() -> None:
    one = downlinks(window=2)
    offer(one, 0, 1, 2)
    one.acknowledged(1)
    pumped(one)
    one.suspend()
    assert offer(one, 3) == []
    one.resume(window=3)
    assert pumped(one) == [sent(1, 2, dup=True), sent(2, 3, dup=True), sent(3, 4)]


def test_smaller_window_of_the_next_session_holds_resends_back_too() -> None:
    one = downlinks(window=3)
    offer(one, 0, 1, 2)
    one.suspend()
    one.resume(window=1)
    assert pumped(one) == [sent(0, 1, dup=True)]
    one.acknowledged(2)
    one.acknowledged(1)
    assert pumped(one) == [sent(2, 3, dup=True)]


def test_new_packet_ids_keep_clear_of_what_is_still_to_be_resent() -> None:
    one = downlinks(window=2)
    offer(one, 0, 1)
    one.suspend()
    one._last_id = MAX_PACKET_ID
    one.resume(window=1)
    pumped(one)
    one.acknowledged(1)
    assert offer(one, 5) == [sent(1, 2, dup=True)]
    one.acknowledged(2)
    assert pumped(one) == [sent(5, 1)]


def test_waiting_message_expires_and_says_how_much_time_is_left_when_it_does_not() -> None:
    one = downlinks()
    one.suspend()
    for interval in (5, 60):
        one.offer(Message("t", b"x", Properties(message_expiry_interval=interval), NOW + interval))
    one.resume(window=1)
    expired, left = pumped(one, NOW + 19.5)
    assert isinstance(expired, Message)
    assert isinstance(left, Publish)
    assert left.properties == Properties(message_expiry_interval=41)
    one.suspend()
    one.resume(window=1)
    (again,) = pumped(one, NOW + 1000)
    assert isinstance(again, Publish), "its delivery had begun"
    assert (again.dup, again.properties.message_expiry_interval) == (True, 0)


def test_idle_state_holds_nothing() -> None:
    one = downlinks(window=1)
    offer(one, 0, 1)
    for packet_id in (1, 2):
        one.acknowledged(packet_id)
        pumped(one)
    assert (one._in_flight, one._queue, one._unsent, one.held) == (None, None, None, 0)


class Conversation(RuleBasedStateMachine):
    """A queue that is offered messages, read by sessions that come and go, and acknowledged in any order.

    Nothing is lost that was not said to be dropped, messages are first sent in the order of the offers, and a session
    gets what its predecessors left unacknowledged before anything new, unchanged but for DUP.
    """

    QUEUE_LIMIT = 3

    def __init__(self) -> None:
        super().__init__()
        self.one = downlinks(2, self.QUEUE_LIMIT)
        self.window = 2
        self.offered = 0
        self.waiting: list[int] = []
        self.unacknowledged: dict[int, int] = {}
        self.seen: set[int] = set()
        self.owed: list[int] = []

    @rule()
    def offer(self) -> None:
        lost = self.one.offer(message(self.offered))
        self.waiting.append(self.offered)
        self.offered += 1
        assert lost == [message(self.waiting.pop(0)) for _ in self.waiting[self.QUEUE_LIMIT :]]
        self.read()

    def read(self) -> None:
        for packet in pumped(self.one):
            assert isinstance(packet, Publish)
            number = int(packet.payload)
            if self.owed:
                assert packet.packet_id == self.owed.pop(0)
                assert packet == sent(self.unacknowledged[packet.packet_id], packet.packet_id, dup=True)
            else:
                assert number == self.waiting.pop(0)
                assert packet == sent(number, packet.packet_id)
                assert packet.packet_id not in self.unacknowledged
                self.unacknowledged[packet.packet_id] = number
            self.seen.add(packet.packet_id)

    @rule(data=st.data())
    @precondition(lambda self: self.window and self.seen)
    def acknowledge(self, data: st.DataObject) -> None:
        packet_id = data.draw(st.sampled_from(sorted(self.seen)))
        self.seen.remove(packet_id)
        del self.unacknowledged[packet_id]
        self.one.acknowledged(packet_id)
        self.read()

    @rule(packet_id=st.integers(1, MAX_PACKET_ID))
    @precondition(lambda self: self.window)
    def acknowledge_at_random(self, packet_id: int) -> None:
        if packet_id not in self.unacknowledged:
            self.one.acknowledged(packet_id)
            self.read()

    @rule()
    @precondition(lambda self: self.window)
    def go_away(self) -> None:
        self.one.suspend()
        self.window, self.seen, self.owed = 0, set(), list(self.unacknowledged)

    @rule(window=st.integers(1, 4))
    @precondition(lambda self: not self.window)
    def come_back(self, window: int) -> None:
        self.window = window
        self.one.resume(window)
        self.read()

    @invariant()
    def nothing_is_lost_and_bounds_are_kept(self) -> None:
        assert self.one.held == len(self.unacknowledged) + len(self.waiting)
        assert len(self.waiting) <= self.QUEUE_LIMIT
        assert len(self.seen) <= self.window
        if self.window and (self.owed or self.waiting):
            assert len(self.seen) == self.window, "something waits though the window has room"

    def teardown(self) -> None:
        """In the end everything arrives."""
        if not self.window:
            self.come_back(1)
        while self.seen:
            packet_id = self.seen.pop()
            del self.unacknowledged[packet_id]
            self.one.acknowledged(packet_id)
            self.read()
        assert self.one.held == 0
        assert not self.waiting


TestConversation = Conversation.TestCase
