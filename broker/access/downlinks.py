"""What goes down to one session: the QoS granted on its `$oc` topics, the in-flight window, the queue behind it."""

from collections import deque
from dataclasses import dataclass, field

from wire.mqtt import NO_PROPERTIES, Properties, Publish, matches

MAX_PACKET_ID = 65_535


@dataclass(frozen=True, slots=True)
class Message:
    """What is delivered, to as many as want it; the payload may hold a secret."""

    topic: str
    payload: bytes = field(repr=False)
    properties: Properties = NO_PROPERTIES


class Downlinks:
    """Downlink state of one session; an idle session holds none of it.

    A device gets its `$oc` downlinks at QoS 0 without asking; a subscription raises them to QoS 1 and never makes a
    second copy. QoS 1 messages beyond the window wait in a queue, bounded in messages and in bytes; the oldest in it
    are dropped for a new one. A message larger than the bound waits alone.
    """

    __slots__ = (
        "_granted",
        "_in_flight",
        "_last_id",
        "_queue",
        "_queue_bytes",
        "_queue_limit",
        "_waiting_bytes",
        "_window",
        "dropped",
    )

    def __init__(self, window: int, queue_limit: int, queue_bytes: int) -> None:
        self._window = window
        self._queue_limit = queue_limit
        self._queue_bytes = queue_bytes
        self._waiting_bytes = 0
        self.dropped = 0
        self._granted: dict[str, int] | None = None
        self._in_flight: set[int] | None = None
        self._queue: deque[Message] | None = None
        self._last_id = 0

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
        granted = self._granted or {}
        return max((qos for wanted, qos in granted.items() if matches(wanted, topic)), default=0)

    def offer(self, message: Message, qos: int) -> Publish | None:
        """Return the packet to send now, or None if the message waits for its turn."""
        if not qos:
            return Publish(message.topic, message.payload, properties=message.properties)
        if self._in_flight is None:
            self._in_flight = set()
        if len(self._in_flight) < self._window:
            return self._next(self._in_flight, message)
        if self._queue is None:
            self._queue = deque()
        self._make_room(self._queue, _size(message))
        self._queue.append(message)
        return None

    def acknowledged(self, packet_id: int) -> Publish | None:
        """Take an acknowledgement of whatever id; returns the packet to send in its place, if one waits."""
        if not self._in_flight or packet_id not in self._in_flight:
            return None
        self._in_flight.remove(packet_id)
        return self._next(self._in_flight, self._take(self._queue)) if self._queue else None

    def _make_room(self, queue: deque[Message], size: int) -> None:
        """Drop as many as it takes, and count a message of this size as waiting."""
        while queue and (len(queue) >= self._queue_limit or self._waiting_bytes + size > self._queue_bytes):
            self._take(queue)
            self.dropped += 1
        self._waiting_bytes += size

    def _take(self, queue: deque[Message]) -> Message:
        message = queue.popleft()
        self._waiting_bytes -= _size(message)
        return message

    def _next(self, in_flight: set[int], message: Message) -> Publish:
        while True:
            self._last_id = self._last_id % MAX_PACKET_ID + 1
            if self._last_id not in in_flight:
                break
        in_flight.add(self._last_id)
        return Publish(message.topic, message.payload, 1, self._last_id, properties=message.properties)


def _size(message: Message) -> int:
    return len(message.topic) + len(message.payload)
