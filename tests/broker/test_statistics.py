"""How late the loop runs, a blocked one included."""

from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable
from typing import cast

from broker.statistics import SAMPLE_S, LoopLag


class Timers:
    """Stands for the loop: time moves when told to, and a timer that is due is called then."""

    def __init__(self) -> None:
        self.now = 50.0
        self._due: tuple[float, Callable[[], None]] | None = None

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> TimerHandle:
        self._due = (when, callback)
        return cast("TimerHandle", None)

    def pass_time(self, seconds: float) -> None:
        """Run on time for a while."""
        until = self.now + seconds
        while self._due and self._due[0] <= until:
            when, callback = self._due
            self.now = max(self.now, when)
            callback()
        self.now = until

    def block(self, seconds: float) -> None:
        """Do something else for a while."""
        self.now += seconds


def started() -> tuple[Timers, LoopLag]:
    timers = Timers()
    lag = LoopLag(cast("AbstractEventLoop", timers))
    lag.start()
    return timers, lag


def test_loop_that_is_on_time_has_no_lag() -> None:
    timers, lag = started()
    assert lag.p99_ms() == 0
    timers.pass_time(10)
    assert lag.p99_ms() < 0.001


def test_blocked_loop_is_late_for_every_tick_that_it_missed() -> None:
    timers, lag = started()
    timers.pass_time(5 * SAMPLE_S)
    timers.block(10)
    timers.pass_time(5 * SAMPLE_S)
    samples = sorted(lag._samples_s)
    assert 109 <= len(samples) <= 111
    assert sum(one > 5.05 for one in samples) in (49, 50)
    assert 9_800 <= lag.p99_ms() <= 9_901


def test_one_block_in_a_minute_is_not_averaged_away() -> None:
    timers, lag = started()
    timers.pass_time(50)
    timers.block(2)
    timers.pass_time(8)
    assert lag.p99_ms() > 1_000
