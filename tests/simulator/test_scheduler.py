"""The fleet's timers on real loops: order, many at once, timers that set timers, and a callback that fails."""

import asyncio
import functools
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest
import uvloop

from simulator.scheduler import MAX_BATCH, MIN_DELAY_S, Scheduler, cancel

DEADLINE_S = 10.0
Play = Callable[[Callable[[Scheduler], Coroutine[Any, Any, None]]], None]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def play(request: pytest.FixtureRequest) -> Play:
    """Run a test's own coroutine on a loop of each kind."""

    def run(test: Callable[[Scheduler], Coroutine[Any, Any, None]]) -> None:
        async def main() -> None:
            async with asyncio.timeout(DEADLINE_S):
                await test(Scheduler(asyncio.get_running_loop()))

        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(main())

    return run


def test_timers_fire_in_the_order_of_their_times_and_never_early(play: Play) -> None:
    async def test(scheduler: Scheduler) -> None:
        start, done = scheduler.now(), asyncio.Event()
        fired: list[tuple[float, float]] = []
        for offset in (0.03, 0.01, 0.02, -1.0, 0.0):
            when = start + offset
            scheduler.at(when, functools.partial(lambda when: fired.append((when, scheduler.now())), when))
        scheduler.at(start + 0.04, done.set)
        await done.wait()
        assert [round(when - start, 3) for when, _ in fired] == [-1.0, 0.0, 0.01, 0.02, 0.03]
        assert all(now >= when for when, now in fired)

    play(test)


def test_timers_of_one_time_fire_in_the_order_they_were_set(play: Play) -> None:
    async def test(scheduler: Scheduler) -> None:
        when, fired, done = scheduler.now() + 0.005, list[int](), asyncio.Event()
        for number in range(100):
            scheduler.at(when, functools.partial(fired.append, number))
        scheduler.at(when, done.set)
        await done.wait()
        assert fired == list(range(100))

    play(test)


def test_nothing_fires_within_the_call_that_sets_it(play: Play) -> None:
    async def test(scheduler: Scheduler) -> None:
        done = asyncio.Event()
        scheduler.at(scheduler.now() - 1, done.set)
        assert not done.is_set()
        await done.wait()

    play(test)


def test_an_earlier_timer_overtakes_one_that_was_set_before(play: Play) -> None:
    async def test(scheduler: Scheduler) -> None:
        fired, done = list[str](), asyncio.Event()
        scheduler.at(scheduler.now() + 1000, lambda: fired.append("far"))
        scheduler.at(scheduler.now() + 0.005, done.set)
        await done.wait()
        assert fired == []

    play(test)


def test_ten_thousand_timers_all_fire_in_order(play: Play) -> None:
    async def test(scheduler: Scheduler) -> None:
        start, fired, done = scheduler.now(), list[int](), asyncio.Event()
        for number in range(10_000):
            place = number * 7919 % 10_000
            scheduler.at(start + place * 2e-6, functools.partial(fired.append, place))
        scheduler.at(start + 0.02, done.set)
        await done.wait()
        assert fired == list(range(10_000))

    play(test)


def test_a_batch_of_due_timers_lets_the_loop_serve_others_in_between(play: Play) -> None:
    async def test(scheduler: Scheduler) -> None:
        loop, turn, per_turn, done = asyncio.get_running_loop(), 0, dict[int, int](), asyncio.Event()

        def count() -> None:
            per_turn[turn] = per_turn.get(turn, 0) + 1

        def next_turn() -> None:
            nonlocal turn
            turn += 1
            if not done.is_set():
                loop.call_soon(next_turn)

        for _ in range(3 * MAX_BATCH):
            scheduler.at(scheduler.now() - 1, count)
        scheduler.at(scheduler.now(), done.set)
        next_turn()
        await done.wait()
        assert sum(per_turn.values()) == 3 * MAX_BATCH
        assert max(per_turn.values()) == MAX_BATCH

    play(test)


def test_a_callback_may_set_timers_sooner_later_and_for_now(play: Play) -> None:
    async def test(scheduler: Scheduler) -> None:
        start, fired, done = scheduler.now(), list[str](), asyncio.Event()

        def first() -> None:
            fired.append("first")
            scheduler.at(start + 0.02, lambda: fired.append("between"))
            scheduler.at(start - 1, lambda: fired.append("overdue"))
            scheduler.at(start + 0.04, done.set)

        scheduler.at(start + 0.03, lambda: fired.append("last"))
        scheduler.at(start + 0.01, first)
        await done.wait()
        assert fired == ["first", "overdue", "between", "last"]

    play(test)


class StillLoop:
    """As much of a loop as a scheduler needs: it tells the time that it is given, and keeps what it is to call."""

    def __init__(self) -> None:
        self.now = 0.0
        self.handles: list[asyncio.TimerHandle] = []

    def time(self) -> float:
        return self.now

    def get_debug(self) -> bool:
        return False

    def call_at(self, when: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        self.handles.append(asyncio.TimerHandle(when, callback, (), cast("asyncio.AbstractEventLoop", self)))
        return self.handles[-1]

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """What a loop's own timers call."""
        self.handles.remove(handle)


def test_timers_for_now_do_not_put_off_one_that_is_due() -> None:
    loop = StillLoop()
    scheduler = Scheduler(cast("asyncio.AbstractEventLoop", loop))
    scheduler.at(0.0, lambda: None)
    (armed,) = loop.handles
    for _ in range(10):
        loop.now += MIN_DELAY_S / 20
        scheduler.at(loop.now, lambda: None)
    assert loop.handles == [armed]


def test_a_timer_that_sets_itself_again_goes_on(play: Play) -> None:
    async def test(scheduler: Scheduler) -> None:
        count, done = 0, asyncio.Event()

        def tick() -> None:
            nonlocal count
            count += 1
            if count == 50:
                done.set()
            else:
                scheduler.at(scheduler.now(), tick)

        scheduler.at(scheduler.now(), tick)
        await done.wait()
        assert count == 50

    play(test)


def test_a_callback_that_fails_is_reported_and_loses_no_other(play: Play) -> None:
    async def test(scheduler: Scheduler) -> None:
        reported: list[BaseException] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: reported.append(context["exception"]))
        when, fired, done = scheduler.now() + 0.005, list[int](), asyncio.Event()

        def fail() -> None:
            raise KeyError

        for number in range(10):
            scheduler.at(when, functools.partial(fired.append, number) if number % 3 else fail)
        scheduler.at(when + 0.005, done.set)
        await done.wait()
        assert fired == [1, 2, 4, 5, 7, 8]
        assert [type(error) for error in reported] == [KeyError] * 4

    play(test)


def test_clear_forgets_every_timer_and_new_ones_can_be_set(play: Play) -> None:
    async def test(scheduler: Scheduler) -> None:
        fired, done = list[str](), asyncio.Event()
        for offset in (-1.0, 0.0, 0.005):
            scheduler.at(scheduler.now() + offset, lambda: fired.append("forgotten"))
        scheduler.clear()
        scheduler.at(scheduler.now() + 0.01, done.set)
        await done.wait()
        assert fired == []

    play(test)


def test_clear_within_a_callback_stops_the_rest_of_its_batch(play: Play) -> None:
    async def test(scheduler: Scheduler) -> None:
        fired, done = list[str](), asyncio.Event()

        def end() -> None:
            scheduler.clear()
            asyncio.get_running_loop().call_later(0.01, done.set)

        scheduler.at(scheduler.now(), end)
        scheduler.at(scheduler.now(), lambda: fired.append("forgotten"))
        await done.wait()
        assert fired == []

    play(test)


async def test_cancelled_timer_calls_nobody_and_keeps_nobody() -> None:
    class Owner:
        def act(self) -> None:
            raise AssertionError("it was cancelled")

    owner, done = Owner(), asyncio.Event()
    gone = weakref.ref(owner)
    scheduler = Scheduler(asyncio.get_running_loop())
    timer = scheduler.at(scheduler.now(), owner.act)
    cancel(timer)
    cancel(None)
    del owner
    assert gone() is None
    scheduler.at(scheduler.now(), done.set)
    async with asyncio.timeout(5):
        await done.wait()


def test_timer_that_sets_itself_in_the_past_holds_up_no_other(play: Play) -> None:
    async def test(scheduler: Scheduler) -> None:
        done, long_ago = asyncio.Event(), scheduler.now() - 10

        def again() -> None:
            if not done.is_set():
                scheduler.at(long_ago, again)

        scheduler.at(long_ago, again)
        scheduler.at(scheduler.now() + 0.02, done.set)
        await done.wait()

    play(test)
