"""What a device wants done. Data only; imperative."""

from dataclasses import dataclass

from simulator.device.keyring import Candidate


@dataclass(frozen=True, slots=True)
class OpenLink:
    """Start attempt `attempt` with the candidate's secret; any older link is void."""

    attempt: int
    candidate: Candidate


@dataclass(frozen=True, slots=True)
class CloseLink:
    """End the link of `attempt` cleanly; its news is no longer wanted."""

    attempt: int


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Send `TimerFired(attempt)` at `when` (monotonic seconds)."""

    attempt: int
    when: float


Action = OpenLink | CloseLink | WakeAt
