"""What a device still has to deliver with QoS 1: it outlives the link. Pure."""

from collections import deque
from dataclasses import dataclass

from wire.mqtt import Publish

IN_FLIGHT_WINDOW = 20
MAX_PACKET_ID = 65_535


@dataclass(slots=True)
class Message:
    """An uplink; `seq` also stands in its payload. `packet_id` 0 means that it is not in flight."""

    seq: int
    topic: str
    payload: bytes
    packet_id: int = 0


class Outbox:
    """Messages waiting, and messages in flight in the order of their packet ids.

    After a cut (MQTT 3.1.1 §4.4): a session that the platform kept gets the same packet ids again with DUP; to a new
    session everything is published anew, with new ids and without DUP.
    """

    __slots__ = ("_in_flight", "_last_packet_id", "_waiting", "window")

    def __init__(self) -> None:
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

    def due(self) -> list[Message]:
        """Move what the in-flight window has room for, and give it."""
        sent: list[Message] = []
        while self._waiting and len(self._in_flight) < self.window:
            message = self._waiting.popleft()
            message.packet_id = self._next_packet_id()
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
            return again
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
