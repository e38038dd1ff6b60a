"""One heap of timers for a whole fleet: a tuple per deadline instead of a loop handle or a task."""

import asyncio
import heapq
from collections.abc import Callable
from itertools import count
from typing import Any

MIN_DELAY_S = 0.0005
MAX_BATCH = 500

Timer = list[Any]
"""When, its place among those of the same time, the callback: a list, which the heap compares without calling us."""


def cancel(timer: Timer | None) -> None:
    """Let go of what a timer would call; its place in the heap is given back when its time comes."""
    if timer is not None:
        timer[-1] = cancelled


def cancelled() -> None:
    """What a cancelled timer calls."""


class Scheduler:
    """Calls callbacks at loop times.

    A callback looks whether it still matters; what lives shorter than its timers cancels them, not to be kept by them.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._heap: list[Timer] = []
        self._added: list[Timer] = []
        self._is_running = False
        self._order = count()
        self._armed: asyncio.TimerHandle | None = None
        self._armed_for = 0.0

    def now(self) -> float:
        """Loop time in seconds (monotonic)."""
        return self._loop.time()

    def at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` at loop time `when`, or on the next turn if that is past."""
        timer: Timer = [when, next(self._order), callback]
        if self._is_running:
            self._added.append(timer)
            return timer
        heapq.heappush(self._heap, timer)
        if self._armed is None or max(when, self._loop.time() + MIN_DELAY_S) < self._armed_for:
            self._arm()
        return timer

    def clear(self) -> None:
        """Forget every timer."""
        self._heap.clear()
        self._added.clear()
        if self._armed is not None:
            self._armed.cancel()
            self._armed = None

    def _arm(self) -> None:
        if self._armed is not None:
            self._armed.cancel()
        self._armed_for = max(self._heap[0][0], self._loop.time() + MIN_DELAY_S)
        self._armed = self._loop.call_at(self._armed_for, self._run)

    def _run(self) -> None:
        """Call what is due, at most a batch of it per turn, so that sockets are served in between.

        What is added meanwhile waits for the next turn: one that sets itself in the past would hold up all others.
        """
        self._armed = None
        self._is_running = True
        try:
            for _ in range(MAX_BATCH):
                if not self._heap or self._heap[0][0] > self._loop.time():
                    break
                heapq.heappop(self._heap)[2]()
        finally:
            self._is_running = False
            for timer in self._added:
                heapq.heappush(self._heap, timer)
            self._added.clear()
            if self._heap:
                self._arm()
