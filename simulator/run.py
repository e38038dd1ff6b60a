"""One run of a scenario, from the first socket to the last line of the journal."""

import asyncio
import contextlib
import signal
import traceback
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.clock import SystemClock
from simulator.errors import KeyturnError, PlatformUnreachable, UsageError
from simulator.expectations import Expectation, holds
from simulator.fleet import drain
from simulator.journal import Journal
from simulator.lag import watch_lag
from simulator.limits import check_room, collector_spared
from simulator.measure import Measures
from simulator.oracle import Oracle
from simulator.scenario.demands import KEYTURNS_OWN, unmet
from simulator.scenario.flow import until
from simulator.scenario.model import Scenario
from simulator.scenario.runner import Runner
from simulator.target import Target, open_target
from simulator.world import Builder, World, provision

DRAIN_S = 5.0
CLOSE_S = 5.0
STOPS_PER_TURN = 100
Watch = Callable[[Oracle, Measures], Coroutine[Any, Any, None]]
ALL_SETTLED = Expectation("unsettled == 0", "unsettled", "==", 0)


@dataclass(slots=True)
class Ending:
    """How a run came to its end, beside what its expectations say."""

    interrupted: bool = False
    unreachable: str | None = None


class Play:
    """Plays a scenario into a folder: `device.jsonl`, and the platform's journal beside it.

    `owned`: the caller says that a platform which is not ours may be worked on.
    `watch`: runs along, to show how it goes; it is cancelled at the end.
    """

    def __init__(self, scenario: Scenario, folder: Path, *, owned: bool = False) -> None:
        self._scenario = scenario
        self._folder = folder
        self._owned = owned
        self._clock = SystemClock()
        self._ending = Ending()
        self.oracle = Oracle()
        self.measures = Measures(self.oracle)

    async def run(self, watch: Watch | None = None) -> Ending:
        """Run to the end; a KeyturnError tells that there is nothing to be judged."""
        check_room(sum(fleet.count or 0 for fleet in self._scenario.fleets.values()), relayed=self._is_relayed)
        journal = Journal(self._clock, self._folder / "device.jsonl")
        journal.listeners.append(self.oracle.feed)
        try:
            plan = self._scenario
            opened = open_target(plan.platform, plan.schemes, self._folder, owned=self._owned, clock=self._clock)
            async with opened as target:
                self._check_demands(target)
                await self._play(journal, target, watch)
        except BaseExceptionGroup as group:
            raise _first_known(group) or group from None
        finally:
            asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)
            journal.close()
        if journal.failure is not None:
            raise UsageError(f"{journal.failure}: without its journal a run cannot be judged")
        return self._ending

    def _check_demands(self, target: Target) -> None:
        """Refuse what only a keyturn platform has, when it turned out that this is none."""
        if target.ours is not None:
            return
        because = f"{self._scenario.platform.api} is not a keyturn platform"
        found = unmet(self._scenario.timeline, self._scenario.expect, KEYTURNS_OWN, because)
        if messages := [problem.message for problem in found]:
            raise UsageError("\n".join(messages))

    @property
    def _is_relayed(self) -> bool:
        return self._scenario.platform.is_relayed

    async def _play(self, journal: Journal, target: Target, watch: Watch | None) -> None:
        journal.header(source="simulator", run=uuid.uuid4().hex[:12], **_about(self._scenario))
        crashes = _Crashes(journal)
        asyncio.get_running_loop().set_exception_handler(crashes.in_loop)
        async with asyncio.TaskGroup() as tasks:
            builder = Builder(journal, self._clock, crashes)
            world, identities = builder.build(self._scenario, target.endpoints)
            check_room(len(identities), relayed=self._is_relayed)
            if target.ours is not None:
                await provision(target.ours, identities)
            company = [tasks.create_task(watch_lag(journal), name="lag")]
            if watch is not None:
                company.append(tasks.create_task(watch(self.oracle, self.measures), name="watch"))
            try:
                with collector_spared():
                    await self._timeline(journal, Runner(self._scenario, world, target.control, self.measures))
            finally:
                await _switch_off(world)
                for task in company:
                    task.cancel()
        await self._write_end(journal, target)

    async def _write_end(self, journal: Journal, target: Target) -> None:
        lost = None
        if target.ours is not None:
            with contextlib.suppress(PlatformUnreachable):
                lost = (await target.ours.describe()).body.get("journal_records_lost")
        ending = self._ending
        journal.write(
            "ended", interrupted=ending.interrupted, unreachable=ending.unreachable, platform_records_lost=lost
        )

    async def _timeline(self, journal: Journal, runner: Runner) -> None:
        """Run the steps and settle, unless the platform is gone for good, the disk is full, or Ctrl-C.

        From the first Ctrl-C on, further ones change nothing: the devices are stopped cleanly, within seconds, and
        what was seen is reported.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                main = tasks.create_task(self._steps_and_settle(runner), name="timeline")
                journal.on_failure = main.cancel
                with contextlib.suppress(ValueError, RuntimeError):  # not the main thread: nobody's Ctrl-C is ours
                    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self._interrupt, main)
        except* PlatformUnreachable as group:
            self._ending.unreachable = str(_first_known(group))

    def _interrupt(self, main: asyncio.Task[None]) -> None:
        self._ending.interrupted = self._ending.interrupted or main.cancel()

    async def _steps_and_settle(self, runner: Runner) -> None:
        """Run the timeline, then give the devices that are still on their way the scenario's time to arrive."""
        await runner.run()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._scenario.settle):
                await until(lambda: holds(ALL_SETTLED, self.measures(ALL_SETTLED)))


async def _switch_off(world: World) -> None:
    """End the fleets cleanly; from `settled` on, nothing that happens counts."""
    world.scheduler.clear()  # nobody is started and nobody tries again from here on
    for fleet in world.fleets.values():
        fleet.end_telemetry()
    await drain(world.fleets, DRAIN_S)
    world.journal.write("settled")
    for fleet in world.fleets.values():
        for number, driver in enumerate(fleet.drivers.values(), 1):
            driver.stop()
            if not number % STOPS_PER_TURN:
                await asyncio.sleep(0)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_S):
            await until(lambda: not world.open_links)
    for scheduler in (world.scheduler, world.link_scheduler):
        scheduler.clear()


def _about(scenario: Scenario) -> dict[str, object]:
    """What a report needs to know of the scenario, so that the journal alone is enough."""
    return {
        "scenario": scenario.name,
        "intent": scenario.intent,
        "seed": scenario.seed,
        "loop_lag_limit": scenario.loop_lag_limit,
        "expect": [str(expectation) for expectation in scenario.expect],
    }


class _Crashes:
    """Journals our own bugs: what a device's guard caught, and what fell through to the loop."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def __call__(self, device_id: str | None, error: BaseException) -> None:
        self._journal.write("crash", device=device_id, traceback="".join(traceback.format_exception(error)))

    def in_loop(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self(None, context.get("exception") or RuntimeError(context["message"]))


def _first_known(group: BaseExceptionGroup[BaseException]) -> KeyturnError | None:
    """The error that a user can act on, when a task group ended because of one."""
    known, rest = group.split(KeyturnError)
    while known is not None and rest is None:
        first = known.exceptions[0]
        if isinstance(first, KeyturnError):
            return first
        assert isinstance(first, BaseExceptionGroup), "a group holds errors or groups"
        known = first
    return None
