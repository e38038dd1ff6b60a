"""Lets so many attempts under way at a time; who comes later waits."""

import asyncio
from collections import deque
from collections.abc import Callable

MAX_UNDER_WAY = 512
MAX_PER_TURN = 32  # so that a storm of handshakes does not keep the loop from everything else


class Turnstile:
    """A platform's socket buffer takes a few thousand datagrams, and what is lost costs a second each."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
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
        if not self._is_due and self._queue and self._under_way < MAX_UNDER_WAY:
            self._is_due = True
            self._loop.call_soon(self._next)

    def _next(self) -> None:
        self._is_due = False
        for _ in range(MAX_PER_TURN):
            if not self._queue or self._under_way >= MAX_UNDER_WAY:
                break
            self._under_way += 1
            if not self._queue.popleft()():
                self._under_way -= 1
        self._go_on()
