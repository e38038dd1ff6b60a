"""What goes down to one device: the QoS granted on its `$oc` topics, the in-flight window, the queue behind it."""

from collections import deque
from dataclasses import dataclass, field

from broker.access.queue import Bounds, Message, Queue
from wire.mqtt import Publish, matches

MAX_PACKET_ID = 65_535


@dataclass(slots=True)
class EnginesIds:
    """Packet ids of an engine's messages that a client has not answered; those `renamed` are others at the engine."""

    in_use: set[int] = field(default_factory=set)
    renamed: dict[int, int] = field(default_factory=dict)


class Downlinks:
    """Downlink state of one device; without subscriptions and messages it holds next to nothing.

    A device gets its `$oc` downlinks at QoS 0 without asking; a subscription raises them to QoS 1 and never makes a
    second copy. QoS 1 messages beyond the window wait in a bounded queue.

    The state may outlive its session: `suspend` closes the window, and `resume` opens it for the next session, which
    gets what was not acknowledged first, with its packet ids and DUP [MQTT-4.4.0-1].
    """

    __slots__ = ("_bounds", "_granted", "_in_flight", "_last_id", "_queue", "_unsent", "_window", "engines_ids")

    def __init__(self, window: int, bounds: Bounds) -> None:
        self._window = window
        self._bounds = bounds
        self._granted: dict[str, int] | None = None
        self._in_flight: dict[int, Message] | None = None
        self._unsent: deque[int] | None = None
        self._queue: Queue | None = None
        self._last_id = 0
        self.engines_ids: EnginesIds | None = None
        """Of who else sends messages on the same connection."""

    def grant(self, topic_filter: str, qos: int) -> None:
        """Note the QoS that the device subscribed to among its own `$oc` topics with."""
        if self._granted is None:
            self._granted = {}
        self._granted[topic_filter] = qos

    def revoke(self, topic_filter: str) -> bool:
        """Forget what was granted; False if nothing was."""
        return self._granted is not None and self._granted.pop(topic_filter, None) is not None

    def granted_qos(self, topic: str) -> int:
        """Return the QoS for a downlink on one of the device's own `$oc` topics."""
        return self.subscribed_qos(topic) or 0

    def subscribed_qos(self, topic: str) -> int | None:
        """Return the QoS that the device has subscribed to an own `$oc` topic with; None if it has not."""
        granted = self._granted or {}
        return max((qos for wanted, qos in granted.items() if matches(wanted, topic)), default=None)

    @property
    def has_waiting(self) -> bool:
        """Whether a message waits that was never sent."""
        return self._queue is not None

    @property
    def held(self) -> int:
        """How many messages are not acknowledged yet, sent or not."""
        return len(self._in_flight or ()) + len(self._queue or ())

    @property
    def unacknowledged(self) -> list[Message]:
        """What is not acknowledged yet, sent or not, in order."""
        return [*(self._in_flight or {}).values(), *(self._queue or ())]

    def offer(self, message: Message) -> list[Message]:
        """Let a QoS 1 message wait for its turn; returns those that lost their places to it."""
        if self._queue is None:
            self._queue = Queue(self._bounds)
        return self._queue.append(message)

    def next_packet(self, now: float) -> Publish | Message | None:
        """Return what is to be sent now, or a message that expired while it waited, or None."""
        if len(self._in_flight or ()) - len(self._unsent or ()) >= self._window:
            return None
        if self._unsent and self._in_flight:
            packet_id = self._unsent.popleft()
            return self._in_flight[packet_id].packet(now, packet_id, dup=True)
        if self._queue is None:
            return None
        message = self._queue.take()
        if not self._queue:
            self._queue = None
        return message if now >= message.expires_at else self._next(message, now)

    def acknowledged(self, packet_id: int) -> bool:
        """Take an acknowledgement of whatever id; False if nothing waited for it."""
        if self._in_flight is None or self._in_flight.pop(packet_id, None) is None:
            return False
        if self._unsent and packet_id in self._unsent:
            self._unsent.remove(packet_id)
        if not self._in_flight:
            self._in_flight = self._unsent = None
        return True

    def uses(self, packet_id: int) -> bool:
        """Whether a message with this id is not acknowledged yet."""
        return self._in_flight is not None and packet_id in self._in_flight

    def free_id(self) -> int:
        """Return a packet id that nobody uses on this connection."""
        others = self.engines_ids
        while True:
            self._last_id = self._last_id % MAX_PACKET_ID + 1
            if not self.uses(self._last_id) and (others is None or self._last_id not in others.in_use):
                return self._last_id

    def forget_engine(self) -> None:
        """The engine knows nothing of the device any more: neither its subscriptions nor what was on its way."""
        self._granted = self.engines_ids = None

    def suspend(self) -> None:
        """The session is over: what it did not acknowledge counts as unsent."""
        self._window = 0
        self._unsent = deque(self._in_flight) if self._in_flight else None

    def resume(self, window: int) -> None:
        """A new session wants the rest."""
        self._window = window

    def _next(self, message: Message, now: float) -> Publish:
        packet_id = self.free_id()
        if self._in_flight is None:
            self._in_flight = {}
        self._in_flight[packet_id] = message
        return message.packet(now, packet_id)
