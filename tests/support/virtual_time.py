"""Time that passes only when a test says so."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count

TICK_S = 0.001


@dataclass(order=True, slots=True)
class Handle:
    """A call that is due; the part of asyncio.TimerHandle that a scheduler uses."""

    due: float
    order: int
    callback: Callable[[], None] = field(compare=False)
    cancelled: bool = field(default=False, compare=False)

    def when(self) -> float:
        return self.due

    def cancel(self) -> None:
        self.cancelled = True


class VirtualTime:
    """Stands in for an event loop where only its time is used: `time` and `call_at`."""

    def __init__(self, start: float = 1000.0) -> None:
        self._now = start
        self._heap: list[Handle] = []
        self._order = count()

    def time(self) -> float:
        return self._now

    def call_at(self, when: float, callback: Callable[[], None]) -> Handle:
        handle = Handle(when, next(self._order), callback)
        heapq.heappush(self._heap, handle)
        return handle

    def advance(self, seconds: float = TICK_S) -> None:
        """Let time pass, calling everything that falls due at its own time."""
        end = self._now + seconds
        while self._heap and self._heap[0].due <= end:
            handle = heapq.heappop(self._heap)
            self._now = max(self._now, handle.due)
            if not handle.cancelled:
                handle.callback()
        self._now = end


class VirtualClock:
    """A `simulator.clock.Clock` on virtual time; wall time begins at `epoch`."""

    def __init__(self, time: VirtualTime, epoch: datetime = datetime(2025, 1, 1, 10, 30, tzinfo=UTC)) -> None:
        self._time = time
        self._start = time.time()
        self._epoch = epoch

    def now(self) -> float:
        return self._time.time()

    def utc(self) -> datetime:
        return self._epoch + timedelta(seconds=self.now() - self._start)

    def wall(self) -> float:
        return self.utc().timestamp()

    def put_forward(self, seconds: float) -> None:
        self._epoch += timedelta(seconds=seconds)
