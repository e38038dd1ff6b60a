"""What can happen to a device. Data only; past tense.

Everything that a link or a timer reports carries the attempt that it belongs to, so that late news can be
dropped.
"""

from dataclasses import field
from enum import StrEnum

from simulator.device.keyring import Slot
from wire.record import record


class Cause(StrEnum):
    """Why the platform refused an attempt, as far as the answer tells. Only CREDENTIAL blames a secret."""

    CREDENTIAL = "credential"
    NOT_ALLOWED = "not_allowed"
    CONFIG = "config"


@record
class Started:
    """The device was switched on."""


@record
class Stopped:
    """The device was switched off."""


@record
class TimerFired:
    attempt: int


@record
class SecretIssued:
    """A new secret reached the device, by whatever way."""

    slot: Slot
    secret: str = field(repr=False)


@record
class Accepted:
    """The platform took the device in; `session_present`: and had kept its session."""

    attempt: int
    session_present: bool = False


@record
class Refused:
    """The platform answered no; `code` is the protocol's own number (CONNACK return code)."""

    attempt: int
    cause: Cause
    code: int | str


@record
class Unreachable:
    """Nobody answered, or the answer was 'busy': no secret is to blame."""

    attempt: int
    reason: str


@record
class LinkLost:
    """An accepted link ended without our wish."""

    attempt: int
    reason: str


LinkEvent = Accepted | Refused | Unreachable | LinkLost
Event = Started | Stopped | TimerFired | SecretIssued | LinkEvent
