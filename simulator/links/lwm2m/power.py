"""Whether a device that saves power listens. Pure."""

from dataclasses import dataclass

from simulator.links.lwm2m.options import Sleep
from wire.coap.peer import NEVER


@dataclass(slots=True)
class Power:
    """Awake until it has been quiet for a while, then asleep for its time; `next_at` is when that changes.

    Without `sleep` it never does.
    """

    sleep: Sleep | None
    is_asleep: bool = False
    next_at: float = NEVER

    def active(self, now: float) -> None:
        """The device speaks, or is spoken to while it listens."""
        self.is_asleep = False
        if self.sleep is not None:
            self.next_at = now + self.sleep.awake_s

    def fall_asleep(self, now: float) -> None:
        assert self.sleep is not None, "who never sleeps does not fall asleep"
        self.is_asleep = True
        self.next_at = now + self.sleep.asleep_s
