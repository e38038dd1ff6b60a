"""The vendor's messages to one device: what is kept of them, which of them still wait, and for how long.

The vendor keeps the last 20 messages of a device, sent or not, each of at most 256 KB, and lets one wait for a day at
most (usermanual-iothub/iot_01_0332). They live in memory, and end with the platform.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum, auto

from broker.access.queue import Message

KEPT = 20
LARGEST_PAYLOAD = 256 << 10


class Status(StrEnum):
    """The vendor's; a message that a device has not acknowledged is PENDING again when its session ends."""

    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"
    TIMEOUT = "TIMEOUT"


class Failure(Enum):
    OFFLINE = auto()
    NOT_SUBSCRIBED = auto()
    TOO_LARGE = auto()
    """The device takes no packets of that size."""


@dataclass(slots=True, eq=False)
class DeviceMessage:
    """A message as it was asked for (`request`, JSON) and as it goes down; both may hold a secret."""

    message_id: str
    request: bytes = field(repr=False)
    message: Message = field(repr=False)
    created_at: datetime
    expires_at: datetime
    status: Status = Status.PENDING
    finished_at: datetime | None = None
    failure: Failure | None = None

    def finish(self, status: Status, utc: datetime, failure: Failure | None = None) -> None:
        self.status, self.finished_at, self.failure = status, utc, failure


class Mailbox:
    """The messages of one device, the oldest first; a new one takes the place of the oldest when there are too many."""

    __slots__ = ("_messages",)

    def __init__(self) -> None:
        self._messages: dict[str, DeviceMessage] = {}

    def __contains__(self, message_id: str) -> bool:
        return message_id in self._messages

    def __iter__(self) -> Iterator[DeviceMessage]:
        return iter(self._messages.values())

    def get(self, message_id: str) -> DeviceMessage | None:
        return self._messages.get(message_id)

    def add(self, new: DeviceMessage) -> DeviceMessage | None:
        """Keep a message of an id that is not in use; returns the one that had to go for it."""
        self._messages[new.message_id] = new
        if len(self._messages) <= KEPT:
            return None
        return self._messages.pop(next(iter(self._messages)))

    def remove(self, message_id: str) -> bool:
        """Forget a message, False if there is none; one that is on its way comes all the same, this once."""
        return self._messages.pop(message_id, None) is not None

    def expire(self, utc: datetime) -> list[DeviceMessage]:
        """Give up what has waited for too long; returns it."""
        expired = [one for one in self.waiting() if one.expires_at <= utc]
        for one in expired:
            one.finish(Status.TIMEOUT, one.expires_at)
        return expired

    def waiting(self) -> list[DeviceMessage]:
        return [one for one in self if one.status is Status.PENDING]

    def take_back(self, unacknowledged: Iterable[Message]) -> None:
        """Have messages wait again that a session could not bring to their end."""
        unfinished = {id(message) for message in unacknowledged}
        for one in self:
            if id(one.message) in unfinished:
                one.status, one.finished_at = Status.PENDING, None
