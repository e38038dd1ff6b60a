"""One timer for everything that a link waits for."""

from collections.abc import Callable

from simulator.scheduler import Scheduler, Timer, cancel
from wire.coap.peer import NEVER


class Alarm:
    """Rings once, and is only ever brought forward: who is woken too early looks what is due and sets it again."""

    __slots__ = ("_ring", "_scheduler", "_timer")

    def __init__(self, scheduler: Scheduler, ring: Callable[[], None]) -> None:
        self._scheduler = scheduler
        self._ring = ring
        self._timer: Timer | None = None

    def set(self, due: float) -> None:
        """Ring at this time, if it would have been later, or never."""
        if due < (NEVER if self._timer is None else self._timer[0]):
            self.off()
            self._timer = self._scheduler.at(due, self._rings)

    def off(self) -> None:
        """Ring no more, until it is set again."""
        cancel(self._timer)
        self._timer = None

    def _rings(self) -> None:
        self._timer = None
        self._ring()
