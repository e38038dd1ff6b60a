"""Messages that wait for a device: the oldest make room for new ones."""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import field, replace

from wire.mqtt import NO_PROPERTIES, Properties, Publish
from wire.record import record


@record
class Message:
    """What is delivered, to as many as want it; the payload may hold a secret.

    `expires_at` is the moment, on the platform's clock, after which nobody wants it any more.
    """

    topic: str
    payload: bytes = field(repr=False)
    properties: Properties = NO_PROPERTIES
    expires_at: float = math.inf

    def packet(self, now: float, packet_id: int = 0, *, dup: bool = False) -> Publish:
        """Make the PUBLISH: of QoS 1 with a packet id, else of QoS 0; the expiry interval is what is left of it."""
        properties = self.properties
        if self.expires_at != math.inf:
            left_s = max(0, math.ceil(self.expires_at - now))
            properties = replace(properties, message_expiry_interval=left_s)
        return Publish(self.topic, self.payload, 1 if packet_id else 0, packet_id, dup=dup, properties=properties)

    @property
    def size(self) -> int:
        """The bytes that it takes while it waits, near enough."""
        return len(self.topic) + len(self.payload)


@record
class Bounds:
    """How much may wait for one device."""

    messages: int
    size: int


class Queue:
    """First in, first out, bounded in messages and in bytes; a message larger than the bound waits alone."""

    __slots__ = ("_bounds", "_messages", "_size")

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._messages: deque[Message] = deque()
        self._size = 0

    def __len__(self) -> int:
        return len(self._messages)

    def __iter__(self) -> Iterator[Message]:
        return iter(self._messages)

    def append(self, message: Message) -> list[Message]:
        """Let a message wait; returns the oldest, as many as had to make room."""
        lost = []
        while self._messages and self._is_too_full_for(message):
            lost.append(self.take())
        self._messages.append(message)
        self._size += message.size
        return lost

    def take(self) -> Message:
        """Take the oldest out."""
        message = self._messages.popleft()
        self._size -= message.size
        return message

    def _is_too_full_for(self, message: Message) -> bool:
        return len(self._messages) >= self._bounds.messages or self._size + message.size > self._bounds.size
