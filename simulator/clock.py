"""Time as the simulator sees it."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """`now` is monotonic seconds; `utc` is the devices' wall time, aware; `wall` is seconds since the epoch."""

    def now(self) -> float: ...

    def utc(self) -> datetime: ...

    def wall(self) -> float: ...

    def put_forward(self, seconds: float) -> None:
        """Let `utc` be later by as much from now on."""


class SystemClock:
    """The machine's clocks; `now` agrees with the event loop's time and between processes of one machine."""

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
