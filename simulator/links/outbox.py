"""What a device still has to deliver with QoS 1: it outlives the link. Pure."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from wire.mqtt import Properties, Publish, Subscribe

IN_FLIGHT_WINDOW = 20
MAX_PACKET_ID = 65_535


@dataclass(slots=True)
class Message:
    """An uplink; `seq` also stands in its payload. `packet_id` 0 means that it is not in flight."""

    seq: int
    topic: str
    payload: bytes = field(repr=False)
    packet_id: int = 0


class Outbox:
    """Messages waiting, and messages in flight in the order of their packet ids.

    After a cut (MQTT 3.1.1 §4.4): a session that the platform kept gets the same packet ids again with DUP; to a new
    session everything is published anew, with new ids and without DUP.

    `too_large(topic, seq)` hears of what the platform does not take because of its size; it is not sent.
    """

    __slots__ = ("_in_flight", "_largest", "_last_packet_id", "_too_large", "_waiting", "window")

    def __init__(self, too_large: Callable[[str, int | None], None] = lambda _topic, _seq: None) -> None:
        self._too_large = too_large
        self._largest: int | None = None
        self._waiting: deque[Message] | None = None
        self._in_flight: dict[int, Message] = {}
        self._last_packet_id = 0
        self.window = IN_FLIGHT_WINDOW

    def __len__(self) -> int:
        return len(self._in_flight) + (len(self._waiting) if self._waiting else 0)

    def add(self, message: Message) -> None:
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.append(message)

    def obey(self, wishes: Properties) -> None:
        """Keep to what the platform's CONNACK asks for on this connection (5.0 §3.2.2.3.3, §3.2.2.3.6)."""
        self.window = min(IN_FLIGHT_WINDOW, wishes.receive_maximum or IN_FLIGHT_WINDOW)
        self._largest = wishes.maximum_packet_size

    def admits(self, packet: Publish | Subscribe, seq: int | None = None) -> bool:
        """Whether the platform takes a packet of this size [MQTT-3.2.2-15]."""
        if self._largest is None or at_most(packet) <= self._largest or len(packet.encode(5)) <= self._largest:
            return True
        self._too_large(packet.topic if isinstance(packet, Publish) else packet.filters[0][0], seq)
        return False

    def due(self) -> list[Message]:
        """Move what the in-flight window has room for, and give it."""
        sent: list[Message] = []
        while self._waiting and len(self._in_flight) < self.window:
            message = self._waiting.popleft()
            message.packet_id = self._next_packet_id()
            if self.admits(as_publish(message), message.seq):
                self._in_flight[message.packet_id] = message
                sent.append(message)
        if not self._waiting:
            self._waiting = None
        return sent

    def resume(self, *, session_present: bool) -> list[Message]:
        """Begin a new connection: give what must be sent at once, as it was, with DUP.

        To a new session nothing is: what was in flight goes back to the front of the queue.
        """
        again = list(self._in_flight.values())
        if session_present:
            self._in_flight = {one.packet_id: one for one in again if self.admits(as_publish(one), one.seq)}
            return list(self._in_flight.values())
        self._in_flight = {}
        for message in again:
            message.packet_id = 0
        if again:
            self._waiting = deque([*again, *(self._waiting or ())])
        return []

    def acknowledge(self, packet_id: int) -> Message | None:
        """Take a message out; None when the id is not in flight."""
        return self._in_flight.pop(packet_id, None)

    def next_packet_id(self) -> int:
        """An identifier for a packet that is not a message (SUBSCRIBE)."""
        return self._next_packet_id()

    def _next_packet_id(self) -> int:
        candidate = self._last_packet_id
        while True:
            candidate = candidate % MAX_PACKET_ID + 1
            if candidate not in self._in_flight:
                self._last_packet_id = candidate
                return candidate


def as_publish(message: Message, *, dup: bool = False) -> Publish:
    return Publish(message.topic, message.payload, qos=1, packet_id=message.packet_id, dup=dup)


def at_most(packet: Publish | Subscribe) -> int:
    """A bound on a packet's size that costs no encoding: UTF-8 takes 4 bytes a character at most."""
    text = packet.topic if isinstance(packet, Publish) else packet.filters[0][0]
    return 4 * len(text) + (len(packet.payload) if isinstance(packet, Publish) else 0) + 20
