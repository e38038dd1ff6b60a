"""What no single key can know: whether steps, fleets and expectations name each other rightly."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from simulator.expectations import Expectation
from simulator.scenario.fleets import Fleet
from simulator.scenario.steps import Step
from simulator.scenario.strict import Problem, repeated
from simulator.suggestions import hint

MOST_ON_AIOMQTT = 2_000
WHY_NOT_MORE = (
    "each of them wakes up every second: 2000 idle ones take 4% of a core, 12 times what they take on native, "
    "and a connect takes 2.5 times the CPU, a device 4 times the memory; use native or paho"
)
"""As measured by `python -m tests.benchmarks`, in one run with link: native."""


def dependencies(timeline: Sequence[Step]) -> dict[str, tuple[str, ...]]:
    """The steps that each step waits for; a step that says nothing waits for the one before it."""
    before = [(), *((step.id,) for step in timeline[:-1])]
    return {
        step.id: default if step.after is None else tuple(step.after)
        for step, default in zip(timeline, before, strict=True)
    }


def timeline_problems(timeline: Sequence[Step], fleets: Collection[str]) -> list[Problem]:
    """Ids used twice, unknown fleets and steps, and steps that wait for each other."""
    problems = [*_repeated_ids(timeline), *_unknown_fleets(timeline, fleets), *_unknown_steps(timeline)]
    return problems or list(_cycles(timeline))


def expectation_problems(
    expect: Sequence[Expectation], timeline: Sequence[Step], fleets: Collection[str]
) -> list[Problem]:
    """Expectations about steps or fleets that do not exist, or about a fleet that their step leaves alone."""
    touched = {step.id: step.fleets for step in timeline}
    problems = []
    for index, expectation in enumerate(expect):
        step, fleet = expectation.step, expectation.fleet
        if step is not None and step not in touched:
            message = f"unknown step {step!r}{hint(step, touched, 'steps')}"
            problems.append(Problem(("expect", index), message, expectation.text.index(step) + 1))
        elif fleet is not None and fleet not in fleets:
            problems.append(_unknown_fleet(("expect", index), expectation, fleets))
        elif step is not None and fleet is not None and fleet not in touched[step]:
            message = f"step {step!r} does not touch fleet {fleet!r}"
            problems.append(Problem(("expect", index), message, expectation.text.rindex(fleet) + 1))
        elif step is not None and not touched[step]:
            message = f"step {step!r} touches no device: nothing can be said of it"
            problems.append(Problem(("expect", index), message, expectation.text.index(step) + 1))
    return problems


def link_problems(fleets: Mapping[str, Fleet], sizes: Mapping[str, int]) -> Iterator[Problem]:
    """Fleets with which there are too many devices on a link that costs much; `sizes` as far as they are known."""
    devices = 0
    for name, fleet in fleets.items():
        if fleet.link == "aiomqtt" and name in sizes:
            devices += sizes[name]
            if devices > MOST_ON_AIOMQTT:
                message = f"{devices} devices on link aiomqtt, at most {MOST_ON_AIOMQTT} are taken: {WHY_NOT_MORE}"
                yield Problem(("fleets", name, "devices" if fleet.count is None else "count"), message)


def _repeated_ids(timeline: Sequence[Step]) -> Iterator[Problem]:
    for index in repeated(step.id for step in timeline):
        yield Problem(("timeline", index, "id"), f"the id {timeline[index].id!r} is used twice")


def _unknown_fleets(timeline: Sequence[Step], fleets: Collection[str]) -> Iterator[Problem]:
    for index, step in enumerate(timeline):
        for place, fleet in step.fleet_places().items():
            if fleet not in fleets:
                message = f"unknown fleet {fleet!r}{hint(fleet, fleets, 'fleets')}"
                yield Problem(("timeline", index, *place), message)
        for where, condition in step.conditions().items():
            if condition.fleet is not None and condition.fleet not in fleets:
                yield _unknown_fleet(("timeline", index, *where), condition, fleets)


def _unknown_fleet(location: tuple[int | str, ...], expectation: Expectation, fleets: Collection[str]) -> Problem:
    fleet = expectation.fleet or ""
    message = f"unknown fleet {fleet!r}{hint(fleet, fleets, 'fleets')}"
    return Problem(location, message, expectation.text.rindex(fleet) + 1)


def _unknown_steps(timeline: Sequence[Step]) -> Iterator[Problem]:
    ids = dict.fromkeys(step.id for step in timeline)
    for index, step in enumerate(timeline):
        for position, name in enumerate(step.after or ()):
            if name not in ids:
                message = f"unknown step {name!r}{hint(name, ids, 'steps')}"
                yield Problem(("timeline", index, "after", position), message)


def _cycles(timeline: Sequence[Step]) -> Iterator[Problem]:
    graph = dependencies(timeline)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        cycle = error.args[1][::-1]
        index = max(index for index, step in enumerate(timeline) if step.id in cycle and step.after)
        message = f"these steps wait for each other: {' -> '.join(cycle)}"
        yield Problem(("timeline", index, "after"), message)
