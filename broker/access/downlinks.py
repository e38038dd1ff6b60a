"""What goes down to one session: the QoS granted on its `$oc` topics, the in-flight window, the queue behind it."""

from collections import deque

from wire.mqtt import Publish, matches

MAX_PACKET_ID = 65_535


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
        self._queue: deque[tuple[str, bytes]] | None = None
        self._last_id = 0

    def grant(self, topic_filter: str, qos: int) -> None:
        """Note the QoS that the device subscribed to among its own `$oc` topics with."""
        if self._granted is None:
            self._granted = {}
        self._granted[topic_filter] = qos

    def revoke(self, topic_filter: str) -> None:
        if self._granted is not None:
            self._granted.pop(topic_filter, None)

    def granted_qos(self, topic: str) -> int:
        """Return the QoS for a downlink on one of the device's own `$oc` topics."""
        granted = self._granted or {}
        return max((qos for wanted, qos in granted.items() if matches(wanted, topic)), default=0)

    def offer(self, topic: str, payload: bytes, qos: int) -> Publish | None:
        """Return the packet to send now, or None if the message waits for its turn."""
        if not qos:
            return Publish(topic, payload)
        if self._in_flight is None:
            self._in_flight = set()
        if len(self._in_flight) < self._window:
            return self._next(self._in_flight, topic, payload)
        if self._queue is None:
            self._queue = deque()
        self._make_room(self._queue, _size(topic, payload))
        self._queue.append((topic, payload))
        return None

    def acknowledged(self, packet_id: int) -> Publish | None:
        """Take an acknowledgement of whatever id; returns the packet to send in its place, if one waits."""
        if not self._in_flight or packet_id not in self._in_flight:
            return None
        self._in_flight.remove(packet_id)
        return self._next(self._in_flight, *self._take(self._queue)) if self._queue else None

    def _make_room(self, queue: deque[tuple[str, bytes]], size: int) -> None:
        """Drop as many as it takes, and count a message of this size as waiting."""
        while queue and (len(queue) >= self._queue_limit or self._waiting_bytes + size > self._queue_bytes):
            self._take(queue)
            self.dropped += 1
        self._waiting_bytes += size

    def _take(self, queue: deque[tuple[str, bytes]]) -> tuple[str, bytes]:
        topic, payload = queue.popleft()
        self._waiting_bytes -= _size(topic, payload)
        return topic, payload

    def _next(self, in_flight: set[int], topic: str, payload: bytes) -> Publish:
        while True:
            self._last_id = self._last_id % MAX_PACKET_ID + 1
            if self._last_id not in in_flight:
                break
        in_flight.add(self._last_id)
        return Publish(topic, payload, 1, self._last_id)


def _size(topic: str, payload: bytes) -> int:
    return len(topic) + len(payload)
