"""One run of a scenario, from the first socket to the last line of the journal."""

import asyncio
import contextlib
import signal
import traceback
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.clock import SystemClock
from simulator.errors import KeyturnError, PlatformUnreachable
from simulator.expectations import Expectation, holds
from simulator.fleet import drain
from simulator.journal import Journal
from simulator.lag import watch_lag
from simulator.limits import check_room, spare_the_collector
from simulator.links.native import NativeEngine
from simulator.measure import Measures
from simulator.oracle import Oracle
from simulator.scenario.flow import until
from simulator.scenario.model import Scenario
from simulator.scenario.runner import Runner
from simulator.target import Target, open_target
from simulator.world import Builder, World, provision

DRAIN_S = 5.0
CLOSE_S = 5.0
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

    async def run(self, watch: Callable[[Oracle, Measures], Awaitable[None]] | None = None) -> Ending:
        """Run to the end; a KeyturnError comes only before the first device has started."""
        check_room(sum(fleet.count or 0 for fleet in self._scenario.fleets.values()))
        journal = Journal(self._clock, self._folder / "device.jsonl")
        journal.listeners.append(self.oracle.feed)
        try:
            async with open_target(self._scenario.platform, self._folder, owned=self._owned) as target:
                await self._play(journal, target, watch)
        except BaseExceptionGroup as group:
            raise _first_known(group) or group from None
        finally:
            journal.close()
        return self._ending

    async def _play(
        self, journal: Journal, target: Target, watch: Callable[[Oracle, Measures], Awaitable[None]] | None
    ) -> None:
        journal.header(source="simulator", run=uuid.uuid4().hex[:12], **_about(self._scenario))
        crashes = _Crashes(journal)
        asyncio.get_running_loop().set_exception_handler(crashes.in_loop)
        async with asyncio.TaskGroup() as tasks:
            builder = Builder(tasks, journal, self._clock, NativeEngine, crashes)
            world, identities = builder.build(self._scenario, target.endpoint)
            check_room(len(identities))
            if target.ours:
                await provision(target.control, identities)
            spare_the_collector()
            company = [tasks.create_task(watch_lag(journal), name="lag")]
            if watch is not None:
                company.append(tasks.create_task(_along(watch, self.oracle, self.measures), name="watch"))
            try:
                await self._timeline(Runner(self._scenario, world, target.control, self.measures))
                await self._settle()
            finally:
                await _switch_off(world)
                for task in company:
                    task.cancel()
        journal.write("ended", interrupted=self._ending.interrupted, unreachable=self._ending.unreachable)

    async def _timeline(self, runner: Runner) -> None:
        """Run the steps until they end, the platform is gone for good, or Ctrl-C."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.TaskGroup() as tasks:
                timeline = tasks.create_task(runner.run(), name="timeline")
                with contextlib.suppress(ValueError, RuntimeError):  # not the main thread: nobody's Ctrl-C is ours
                    loop.add_signal_handler(signal.SIGINT, self._interrupt, timeline)
        except* PlatformUnreachable as group:
            self._ending.unreachable = str(_first_known(group))
        finally:
            loop.remove_signal_handler(signal.SIGINT)

    def _interrupt(self, timeline: asyncio.Task[None]) -> None:
        """End the timeline, not the run: the devices are stopped cleanly and what was seen is reported."""
        self._ending.interrupted = True
        timeline.cancel()
        asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)

    async def _settle(self) -> None:
        """Give the devices that are still on their way the scenario's time to arrive."""
        if self._ending.interrupted or self._ending.unreachable:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._scenario.settle):
                await until(lambda: holds(ALL_SETTLED, self.measures(ALL_SETTLED)))


async def _switch_off(world: World) -> None:
    """End the fleets cleanly; from `settled` on, nothing that happens counts."""
    for fleet in world.fleets.values():
        fleet.end_telemetry()
    await drain(world.fleets, DRAIN_S)
    world.journal.write("settled")
    for fleet in world.fleets.values():
        for driver in fleet.drivers.values():
            driver.stop()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_S):
            await until(lambda: not world.open_links)
    world.scheduler.clear()


async def _along(watch: Callable[[Oracle, Measures], Awaitable[None]], oracle: Oracle, measures: Measures) -> None:
    await watch(oracle, measures)


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
