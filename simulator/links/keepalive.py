"""When a link must be pinged, and when its silence means that it is dead (MQTT §3.1.2.10). Pure."""

from dataclasses import dataclass

PING_AFTER = 0.9  # of the keepalive: a packet must arrive within all of it [MQTT-3.1.2-24]
ANSWER_WITHIN = 0.5


@dataclass(slots=True)
class Keepalive:
    """Times in seconds of one clock; an interval of 0 switches it off."""

    interval_s: float
    sent: float = 0.0
    heard: float = 0.0
    pinged: float = 0.0

    def due(self) -> float:
        """When to ping: nothing was sent for most of the interval, or nothing heard.

        A half-open link takes all we send, so sending alone proves nothing.
        """
        return max(min(self.sent, self.heard), self.pinged) + self.interval_s * PING_AFTER

    def wakes_at(self) -> float:
        """When to look again: a ping is due, or the last one should have been answered."""
        return self._patience_ends() if self.pinged else self.due()

    def is_dead(self, now: float) -> bool:
        """Whether the last ping was not answered in time."""
        return bool(self.pinged) and self._patience_ends() <= now

    def answered(self) -> None:
        """A PINGRESP came."""
        self.pinged = 0.0

    def _patience_ends(self) -> float:
        return self.pinged + self.interval_s * ANSWER_WITHIN
