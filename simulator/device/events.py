"""What can happen to a device. Data only; past tense.

Everything that a link or a timer reports carries the attempt that it belongs to, so that late news can be
dropped.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from simulator.device.keyring import Slot


class Cause(StrEnum):
    """Why the platform refused an attempt, as far as the answer tells. Only CREDENTIAL blames a secret."""

    CREDENTIAL = "credential"
    NOT_ALLOWED = "not_allowed"
    CONFIG = "config"


@dataclass(frozen=True, slots=True)
class Started:
    """The device was switched on."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The device was switched off."""


@dataclass(frozen=True, slots=True)
class TimerFired:
    attempt: int


@dataclass(frozen=True, slots=True)
class SecretIssued:
    """A new secret reached the device, by whatever way."""

    slot: Slot
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The platform took the device in; `session_present`: and had kept its session."""

    attempt: int
    session_present: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """The platform answered no; `code` is the protocol's own number (CONNACK return code)."""

    attempt: int
    cause: Cause
    code: int


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Nobody answered, or the answer was 'busy': no secret is to blame."""

    attempt: int
    reason: str


@dataclass(frozen=True, slots=True)
class LinkLost:
    """An accepted link ended without our wish."""

    attempt: int
    reason: str


LinkEvent = Accepted | Refused | Unreachable | LinkLost
Event = Started | Stopped | TimerFired | SecretIssued | LinkEvent
