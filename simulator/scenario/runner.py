"""Runs a timeline: each step after the steps it waits for, with its `until`, its `abort_if` and its time-out."""

import asyncio
import dataclasses
from collections.abc import Callable

from simulator.control import Control
from simulator.errors import PlatformUnreachable
from simulator.expectations import Expectation, holds, judge
from simulator.measure import Measures
from simulator.scenario.flow import until
from simulator.scenario.model import Scenario
from simulator.scenario.steps import Step
from simulator.scenario.verbs import StepFailed, Verbs
from simulator.world import World


class Runner:
    """Performs a scenario's timeline in a world, and records how every step went."""

    def __init__(self, scenario: Scenario, world: World, control: Control | None, measures: Measures) -> None:
        self._scenario = scenario
        self._world = world
        self._measures = measures
        self._verbs = Verbs(world, control, scenario.seed)
        self._done = {step.id: asyncio.Event() for step in scenario.timeline}
        self._failed: set[str] = set()

    async def run(self) -> None:
        """Run the timeline to its end; a step that fails takes the steps that wait for it along.

        A step's time-out counts from the end of its own schedule. PlatformUnreachable ends the run.
        """
        waits_for = self._scenario.dependencies()
        async with asyncio.TaskGroup() as tasks:
            for step in self._scenario.timeline:
                tasks.create_task(self._run_step(step, waits_for[step.id]), name=f"step[{step.id}]")

    async def _run_step(self, step: Step, waits_for: tuple[str, ...]) -> None:
        try:
            for other in waits_for:
                await self._done[other].wait()
            if blocked := [other for other in waits_for if other in self._failed]:
                self._failed.add(step.id)
                self._note(step, "skipped", f"{blocked[0]} failed")
                return
            self._note(step, "started")
            await self._attempt(step)
        finally:
            self._done[step.id].set()

    async def _attempt(self, step: Step) -> None:
        try:
            async with asyncio.timeout(self._verbs.planned_s(step) + step.timeout):
                await self._verbs.perform(step, lambda: self._abort_reason(step))
                if step.until is not None:
                    await until(self._condition(step, step.until))
        except StepFailed as error:
            self._fail(step, str(error))
        except TimeoutError:
            if self._verbs.unanswered:
                count = len(self._verbs.unanswered)
                raise PlatformUnreachable(f"step {step.id}: {count} resets got no reply in time") from None
            self._fail(step, f"not done within {step.timeout:g} s{self._still_waiting(step)}")
        else:
            self._note(step, "done")

    def _condition(self, step: Step, expectation: Expectation | None) -> Callable[[], bool]:
        """A live condition about the step's own devices; without one, never true."""
        if expectation is None:
            return lambda: False
        about = _about(step, expectation)
        return lambda: holds(about, self._measures(about))

    def _abort_reason(self, step: Step) -> str:
        condition = step.waves.abort_if if step.waves is not None else None
        return self._observed(step, condition) if self._condition(step, condition)() else ""

    def _still_waiting(self, step: Step) -> str:
        known = self._verbs.missing(step) or self._observed(step, step.until)
        return f": {known}" if known else ""

    def _observed(self, step: Step, expectation: Expectation | None) -> str:
        if expectation is None:
            return ""
        return f"{expectation} ({judge(_about(step, expectation), self._measures).observed})"

    def _fail(self, step: Step, detail: str) -> None:
        self._failed.add(step.id)
        self._note(step, "failed", detail)

    def _note(self, step: Step, state: str, detail: str = "") -> None:
        self._world.journal.write("step", step=step.id, verb=step.verb, state=state, fleets=step.fleets, detail=detail)


def _about(step: Step, expectation: Expectation) -> Expectation:
    """A live condition speaks of its own step; of a step that touches nobody, of all devices."""
    return dataclasses.replace(expectation, step=step.id) if step.fleets else expectation
