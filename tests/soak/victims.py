"""A fleet of real simulated devices that go about their business, and what both journals say of them."""

import math
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from simulator.books import Books
from simulator.clock import SystemClock
from simulator.control import Control
from simulator.fleet import drain
from simulator.journal import Journal, Record, read_journal
from simulator.ledger import Identity
from simulator.links.link import Endpoint, Endpoints
from simulator.measure import Measures
from simulator.oracle import Oracle
from simulator.scenario.flow import until
from simulator.scenario.model import Scenario
from simulator.scenario.runner import Runner
from simulator.scenario.steps import Step
from simulator.world import Builder, World, provision

VICTIMS_ADDRESS = "127.0.0.1:"
DRAIN_S = 30.0
TELEMETRY = {"every": "5s", "qos": 1}
DISTURBANCES = ("detached", "refused", "lost", "unreachable")


def scenario(victims: int, seed: int) -> Scenario:
    """Half of the victims speak each version; the latecomer is switched on when all is over."""
    return Scenario.model_validate(
        {
            "name": "soak",
            "seed": seed,
            "fleets": {
                "old": {"count": victims // 2, "telemetry": TELEMETRY},
                "new": {"count": victims - victims // 2, "telemetry": TELEMETRY, "mqtt": 5},
                "latecomer": {"count": 1},
            },
            "timeline": [
                {"id": "up", "start": ["old", "new"], "over": "2s", "until": "recovered == 100%"},
                {"id": "late", "start": ["latecomer"], "until": "recovered == 100%"},
            ],
        }
    )


class Victims:
    """The fleet under attack; `crashes` is what its guards caught."""

    def __init__(self, plan: Scenario, world: World, control: Control, oracle: Oracle) -> None:
        self.crashes: list[str] = []
        self._plan = plan
        self._world = world
        self._control = control
        self._oracle = oracle

    @property
    def device_ids(self) -> list[str]:
        return [device_id for name in ("old", "new") for device_id in self._world.fleets[name].drivers]

    async def start(self) -> None:
        await self._perform(self._plan.timeline[0])

    async def start_the_latecomer(self) -> None:
        await self._perform(self._plan.timeline[1])

    async def settle(self) -> None:
        """End the telemetry, and wait until every message is acknowledged."""
        for fleet in self._world.fleets.values():
            fleet.end_telemetry()
        await drain(self._world.fleets, DRAIN_S)
        self._world.journal.flush()

    async def stop(self) -> None:
        for fleet in self._world.fleets.values():
            for driver in fleet.drivers.values():
                driver.stop()
        await until(lambda: not self._world.open_links)
        self._world.scheduler.clear()

    async def _perform(self, step: Step) -> None:
        alone = self._plan.model_copy(update={"timeline": (step.model_copy(update={"after": ()}),)})
        await Runner(alone, self._world, self._control, Measures(self._oracle)).run()
        assert self._oracle.steps[step.id].state == "done", self._oracle.steps[step.id]


@asynccontextmanager
async def victims_of(
    endpoint: Endpoint, control: Control, path: Path, victims: int, seed: int
) -> AsyncIterator[Victims]:
    """Register a fleet that writes its journal to `path`; it is stopped at the end."""
    plan, oracle, journal = scenario(victims, seed), Oracle(), Journal(SystemClock(), path)
    journal.listeners.append(oracle.feed)
    journal.header(source="simulator", run="soak", scenario=plan.name, seed=seed)
    crashes: list[str] = []
    builder = Builder(journal, SystemClock(), lambda who, why: crashes.append(f"{who}: {why!r}"))
    world, identities = builder.build(plan, Endpoints(mqtt=endpoint))
    await provision(control, identities)
    fleet = Victims(plan, world, control, oracle)
    fleet.crashes = crashes
    yield fleet
    await fleet.stop()
    journal.close()


def intruders(count: int) -> list[Identity]:
    """Make up devices that belong to the attackers."""
    return [Identity(f"intruder-{number}", f"intruder-secret-{number}") for number in range(count)]


def disturbances(folder: Path, victims: list[str]) -> Counter[tuple[str, str]]:
    """Count what must not have happened to a victim, by journal and kind of record; messages by what became of them."""
    known, found = set(victims), Counter[tuple[str, str]]()
    records: dict[str, list[Record]] = {}
    for side in ("device", "platform"):
        records[side], _torn = read_journal(folder / f"{side}.jsonl")
        suffered = [one for one in records[side] if one["kind"] in DISTURBANCES and one.get("device") in known]
        found.update((side, one["kind"]) for one in suffered if not _was_somebody_else(one))
    books = Books(records["device"], records["platform"])
    for stat in ("lost", "unconfirmed", "duplicated", "unexplained", "dropped"):
        count = sum(books.tally("messages", stat, victim, -math.inf, math.inf) for victim in victims)
        if count:
            found["messages", stat] = count
    return found


def _was_somebody_else(record: Record) -> bool:
    """An attacker who claims to be a victim is refused, and the victim does not notice."""
    return record["kind"] == "refused" and not record.get("peer", VICTIMS_ADDRESS).startswith(VICTIMS_ADDRESS)
