"""One heap of timers for a whole fleet: a tuple per deadline instead of a loop handle or a task."""

import asyncio
import heapq
from collections.abc import Callable
from itertools import count

MIN_DELAY_S = 0.0005
MAX_BATCH = 500


class Scheduler:
    """Calls callbacks at loop times. A timer is never cancelled: its callback looks whether it still matters."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._armed: asyncio.TimerHandle | None = None
        self._armed_for = 0.0

    def now(self) -> float:
        """Loop time in seconds (monotonic)."""
        return self._loop.time()

    def at(self, when: float, callback: Callable[[], None]) -> None:
        """Call `callback` at loop time `when`, or on the next turn if that is past."""
        heapq.heappush(self._heap, (when, next(self._order), callback))
        if self._armed is None or max(when, self._loop.time() + MIN_DELAY_S) < self._armed_for:
            self._arm()

    def clear(self) -> None:
        """Forget every timer."""
        self._heap.clear()
        if self._armed is not None:
            self._armed.cancel()
            self._armed = None

    def _arm(self) -> None:
        if self._armed is not None:
            self._armed.cancel()
        self._armed_for = max(self._heap[0][0], self._loop.time() + MIN_DELAY_S)
        self._armed = self._loop.call_at(self._armed_for, self._run)

    def _run(self) -> None:
        """Call what is due, at most a batch of it per turn, so that sockets are served in between."""
        self._armed = None
        try:
            for _ in range(MAX_BATCH):
                if not self._heap or self._heap[0][0] > self._loop.time():
                    break
                heapq.heappop(self._heap)[2]()
        finally:
            if self._heap:
                self._arm()
