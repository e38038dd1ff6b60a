"""The one place that reads a clock."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Time as the platform sees it."""

    def now(self) -> float:
        """Monotonic seconds; only differences mean anything."""

    def utc(self) -> datetime:
        """Wall time, aware, UTC."""

    def wall(self) -> float:
        """Wall time in seconds since the epoch."""


class SystemClock:
    """The clock of this machine."""

    def now(self) -> float:
        return time.monotonic()

    def utc(self) -> datetime:
        return datetime.now(UTC)

    def wall(self) -> float:
        return time.time()
