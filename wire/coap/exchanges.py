"""What a peer tells its owner, and what it remembers of the exchanges under way."""

from dataclasses import dataclass, field
from enum import Enum

from aiocoap import Message

from wire.record import record

OBSERVE_WINDOW, OBSERVE_REORDER_S = 1 << 23, 128.0


class Failure(Enum):
    """Why a request, or a confirmable notification, came to nothing."""

    TIMEOUT = "timeout"
    RESET = "reset"


@record
class Request:
    """The other side asks; it is to be answered with `respond`, or not at all."""

    message: Message = field(repr=False)


@record
class Response:
    """An answer to a request of ours, or a notification of an observation of ours."""

    token: bytes
    message: Message = field(repr=False)


@record
class Failed:
    """A request of ours has no answer."""

    token: bytes
    failure: Failure


@record
class Acknowledged:
    """The observer has taken a confirmable notification under this token."""

    token: bytes


@record
class Rejected:
    """The observer wants no more notifications under this token, or does not acknowledge them (RFC 7641 §4.5)."""

    token: bytes
    failure: Failure


Event = Request | Response | Failed | Acknowledged | Rejected


@dataclass(slots=True)
class Sending:
    """The confirmable message that waits for its acknowledgement; sent first, or last in a hurry, at `sent_at`."""

    mid: int
    token: bytes
    data: bytes = field(repr=False)
    is_request: bool
    sent_at: float
    timeout_s: float
    again_at: float
    resent: int = 0


@dataclass(slots=True)
class Asked:
    """A request of ours, until it is answered, or for as long as what it observes is wanted."""

    observes: bool
    expires_at: float
    number: int | None = None
    numbered_at: float = 0.0

    def is_behind(self, number: int, now: float) -> bool:
        """Tell whether a notification was overtaken by the one before (RFC 7641 §3.4)."""
        if self.number is None or now > self.numbered_at + OBSERVE_REORDER_S:
            return False
        ahead = (number - self.number) % (2 * OBSERVE_WINDOW)
        return not 0 < ahead < OBSERVE_WINDOW
