"""What a device wants done. Data only; imperative."""

from simulator.device.keyring import Candidate
from wire.record import record


@record
class OpenLink:
    """Start attempt `attempt` with the candidate's secret; any older link is void."""

    attempt: int
    candidate: Candidate


@record
class CloseLink:
    """End the link of `attempt` cleanly; its news is no longer wanted."""

    attempt: int


@record
class WakeAt:
    """Send `TimerFired(attempt)` at `when` (monotonic seconds)."""

    attempt: int
    when: float


Action = OpenLink | CloseLink | WakeAt
