"""The one place that reads a clock."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Time as the platform sees it."""

    def now(self) -> float:
        """Monotonic seconds; only differences mean anything."""

    def utc(self) -> datetime:
        """Wall time, aware, UTC."""

    def wall(self) -> float:
        """Wall time in seconds since the epoch."""

    def put_forward(self, seconds: float) -> None:
        """Let `utc` be later by as much from now on."""


class SystemClock:
    """The clock of this machine."""

    def __init__(self) -> None:
        self._ahead = timedelta(0)

    def now(self) -> float:
        return time.monotonic()

    def utc(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def wall(self) -> float:
        return time.time()

    def put_forward(self, seconds: float) -> None:
        self._ahead += timedelta(seconds=seconds)
