"""Whether a device that saves power listens. Pure."""

from dataclasses import dataclass

from simulator.links.lwm2m.options import Sleep


@dataclass(slots=True)
class Power:
    """Awake until it has been quiet for a while, then asleep for its time; `next_at` is when that changes."""

    sleep: Sleep
    is_asleep: bool = False
    next_at: float = 0.0

    def active(self, now: float) -> None:
        """The device speaks, or is spoken to while it listens."""
        self.is_asleep = False
        self.next_at = now + self.sleep.awake_s

    def fall_asleep(self, now: float) -> None:
        self.is_asleep = True
        self.next_at = now + self.sleep.asleep_s
