"""Time as the simulator sees it."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """`now` is monotonic seconds; `utc` is wall time, aware; `wall` is seconds since the epoch."""

    def now(self) -> float: ...

    def utc(self) -> datetime: ...

    def wall(self) -> float: ...


class SystemClock:
    """The machine's clocks; `now` agrees with the event loop's time and between processes of one machine."""

    def now(self) -> float:
        return time.monotonic()

    def utc(self) -> datetime:
        return datetime.now(UTC)

    def wall(self) -> float:
        return time.time()
