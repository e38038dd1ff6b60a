"""keyturn's own fleet as a client: the whole of it, with device machines, journal and oracle."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from simulator.clock import SystemClock
from simulator.control import Control
from simulator.journal import Journal, Record, read_journal
from simulator.limits import check_room, collector_spared
from simulator.measure import Measures
from simulator.oracle import Oracle
from simulator.scenario.flow import until
from simulator.scenario.model import Scenario
from simulator.scenario.runner import Runner
from simulator.world import Builder, World, provision
from tests.benchmarks.devices import FLEET, QUIET, USUAL, scenario
from tests.benchmarks.meter import SETTLE_S, NotReached, Result, connected, mark, quantile
from tests.benchmarks.servers import Server

TIMEOUT = "180s"
IDLE_KEEPALIVE_S = 30
"""Also for how long it is looked at idle devices: each sends one ping meanwhile."""

UP = {"id": "up", "start": [FLEET], "until": "recovered == 100%", "timeout": TIMEOUT}
RESET = {
    "id": "reset",
    "reset_secret": {"fleet": FLEET, "slot": "primary", "force_disconnect": True},
    "until": "recovered == 100%",
    "timeout": TIMEOUT,
}


async def publish_only(server: Server, devices: int) -> Result:
    """Connect all at once; each publishes its connect event."""
    return await _connect(server, scenario(devices, UP, profile=QUIET))


async def on_paho(server: Server, devices: int) -> Result:
    """The same with paho-mqtt inside the devices."""
    return await _connect(server, scenario(devices, UP, profile=QUIET, link="paho"))


async def on_aiomqtt(server: Server, devices: int) -> Result:
    """The same with aiomqtt inside the devices."""
    return await _connect(server, scenario(devices, UP, profile=QUIET, link="aiomqtt"))


async def idle(server: Server, devices: int) -> Result:
    """Connect all; then count what they use while they only keep their connections."""
    return await _idle(server, devices, "native")


async def idle_on_paho(server: Server, devices: int) -> Result:
    return await _idle(server, devices, "paho")


async def idle_on_aiomqtt(server: Server, devices: int) -> Result:
    return await _idle(server, devices, "aiomqtt")


async def over_tls(server: Server, devices: int) -> Result:
    """The same over TLS, a full handshake for each and the platform verified."""
    return await _connect(server, scenario(devices, UP, profile=QUIET, security="tls"))


async def over_tls_on_paho(server: Server, devices: int) -> Result:
    return await _connect(server, scenario(devices, UP, profile=QUIET, link="paho", security="tls"))


async def over_tls_on_aiomqtt(server: Server, devices: int) -> Result:
    return await _connect(server, scenario(devices, UP, profile=QUIET, link="aiomqtt", security="tls"))


async def usual(server: Server, devices: int) -> Result:
    """Connect all at once; each subscribes to its commands and publishes its connect event."""
    return await _connect(server, scenario(devices, UP, profile=USUAL))


async def many(server: Server, devices: int) -> Result:
    """Connect as many as one process holds, within ten seconds."""
    return await _connect(server, scenario(devices, {**UP, "over": "10s"}))


async def reset_all(server: Server, devices: int) -> Result:
    """Connect all; then reset every primary secret with force, until everybody is back on the secondary."""
    async with Stage.set(server, scenario(devices, UP, RESET)) as stage:
        await stage.play("up")
        await asyncio.sleep(SETTLE_S)
        before = mark(server.pid)
        await stage.play("reset")
        after = mark(server.pid)
        stage.demand_secondary()
        records = stage.records("reset")
    cuts = list(_cuts_s(records))
    return {
        "wall_s": _last(records, "recovered") - records[0]["t"],
        "client_cpu_s": after.client_cpu_s - before.client_cpu_s,
        "server_cpu_s": after.server_cpu_s - before.server_cpu_s,
        "cut_p50_ms": quantile(cuts, 0.5) * 1000,
        "cut_p99_ms": quantile(cuts, 0.99) * 1000,
    }


async def _connect(server: Server, plan: Scenario) -> Result:
    empty = mark(server.pid)
    async with Stage.set(server, plan) as stage:
        before = mark(server.pid)
        await stage.play("up")
        after = mark(server.pid)
        await asyncio.sleep(SETTLE_S)
        idle = mark(server.pid)
        records = stage.records("up")
    started = records[0]["t"]
    wall = {"accepted_s": _last(records, "accepted") - started, "recovered_s": _last(records, "recovered") - started}
    return {**wall, **connected(empty, before, after, idle)}


async def _idle(server: Server, devices: int, link: str) -> Result:
    plan = scenario(devices, UP, profile=QUIET, link=link, keepalive=f"{IDLE_KEEPALIVE_S}s")
    async with Stage.set(server, plan) as stage:
        await stage.play("up")
        await asyncio.sleep(SETTLE_S)
        before = mark(server.pid)
        await asyncio.sleep(IDLE_KEEPALIVE_S)
        after = mark(server.pid)
    return {"idle_share": (after.client_cpu_s - before.client_cpu_s) / (after.wall_s - before.wall_s)}


@dataclass(slots=True)
class Stage:
    """A fleet that was built and provisioned, and plays its timeline step by step."""

    plan: Scenario
    world: World
    control: Control
    oracle: Oracle
    path: Path
    crashes: list[str]

    @classmethod
    @asynccontextmanager
    async def set(cls, server: Server, plan: Scenario) -> AsyncIterator["Stage"]:
        check_room(plan.fleets[FLEET].count or 0)
        with tempfile.TemporaryDirectory(prefix="keyturn-figures-") as folder:
            path, oracle = Path(folder) / "device.jsonl", Oracle()
            journal = Journal(SystemClock(), path)
            journal.listeners.append(oracle.feed)
            crashes: list[str] = []
            async with Control(server.api or "http://127.0.0.1") as control:
                builder = Builder(journal, SystemClock(), lambda device, error: crashes.append(f"{device}: {error!r}"))
                world, identities = builder.build(plan, await server.endpoints(control))
                if server.api:
                    await provision(control, identities)
                with collector_spared():
                    yield cls(plan, world, control, oracle, path, crashes)
                await _switch_off(world)
            journal.close()

    async def play(self, name: str) -> None:
        """Run one step to its end; NotReached when its condition did not come true."""
        step = next(one for one in self.plan.timeline if one.id == name)
        alone = self.plan.model_copy(update={"timeline": (step.model_copy(update={"after": ()}),)})
        await Runner(alone, self.world, self.control, Measures(self.oracle)).run()
        facts = self.oracle.steps[name]
        if facts.state != "done" or self.crashes:
            raise NotReached(f"step {name}: {facts.state} {facts.detail}, crashes: {self.crashes[:3]}")

    def records(self, step: str) -> list[Record]:
        """What was journalled from the start of a step on."""
        self.world.journal.flush()
        started = self.oracle.steps[step].started
        return [record for record in read_journal(self.path)[0] if record["t"] >= started]

    def demand_secondary(self) -> None:
        wrong = [one.device_id for one in self.oracle.devices.values() if one.slot != "secondary"]
        if wrong:
            raise NotReached(f"{len(wrong)} devices are not on their secondary secret, first {wrong[0]}")


async def _switch_off(world: World) -> None:
    for driver in world.fleets[FLEET].drivers.values():
        driver.stop()
    await until(lambda: not world.open_links)
    for scheduler in (world.scheduler, world.link_scheduler):
        scheduler.clear()


def _last(records: list[Record], kind: str) -> float:
    return max(float(record["t"]) for record in records if record["kind"] == kind)


def _cuts_s(records: list[Record]) -> list[float]:
    """From each device's reset request to the loss of its link."""
    lost = {record["device"]: record["t"] for record in reversed(records) if record["kind"] == "lost"}
    sent = (record for record in records if record["kind"] == "reset" and record["state"] == "sent")
    return [lost[record["device"]] - record["t"] for record in sent]
