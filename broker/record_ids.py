"""Ids that the platform gives to what it keeps in memory: 24 hexadecimal digits that order by age."""

from broker.auth.registry import record_id_from
from broker.clock import Clock


class RecordIds:
    """Counts up within a second and never goes back, whatever the clock does."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = 0

    def take(self) -> str:
        self._last = max(record_id_from(self._clock.utc()), self._last + 1)
        return f"{self._last:024x}"
