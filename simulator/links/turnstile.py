"""Lets so many attempts under way at a time; who comes later waits."""

import asyncio
from collections import deque
from collections.abc import Callable


class Turnstile:
    """At most `most` are under way, and `per_turn` begin in one turn of the loop: others want to be served too."""

    def __init__(self, loop: asyncio.AbstractEventLoop, most: int, per_turn: int) -> None:
        self._loop = loop
        self._most = most
        self._per_turn = per_turn
        self._queue: deque[Callable[[], bool]] = deque()
        self._under_way = 0
        self._is_due = False

    def enter(self, begin: Callable[[], bool]) -> None:
        """Call `begin` later, when there is room; False tells that it is not wanted any more."""
        self._queue.append(begin)
        self._go_on()

    def leave(self) -> None:
        """One that began is through."""
        self._under_way -= 1
        self._go_on()

    def _go_on(self) -> None:
        """Let some begin in the next turn, if there are any and there is room for them."""
        if not self._is_due and self._queue and self._under_way < self._most:
            self._is_due = True
            self._loop.call_soon(self._next)

    def _next(self) -> None:
        self._is_due = False
        try:
            for _ in range(self._per_turn):
                if not self._queue or self._under_way >= self._most:
                    break
                self._under_way += 1
                if not self._queue.popleft()():
                    self._under_way -= 1
        finally:
            self._go_on()
