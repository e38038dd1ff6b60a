"""The first figures of a fleet and its platform: `python -m tests.benchmarks.figures [devices] [link]`.

CPU seconds and resident memory of both processes, for one ramp of connects, an idle minute's worth of sessions, and
one forced reset of everybody. Prints what was measured; asserts nothing.
"""

import asyncio
import os
import resource
import sys
import tempfile
from pathlib import Path

import uvloop

from simulator.clock import SystemClock
from simulator.control import Control
from simulator.embedded import EmbeddedPlatform, child_platform
from simulator.journal import Journal
from simulator.limits import check_room, collector_spared
from simulator.measure import Measures
from simulator.oracle import Oracle
from simulator.scenario.flow import until
from simulator.scenario.model import Scenario
from simulator.scenario.runner import Runner
from simulator.world import Builder, provision

TICKS = os.sysconf("SC_CLK_TCK")
PAGE_KB = os.sysconf("SC_PAGE_SIZE") / 1024


def cpu_of(pid: int) -> float:
    """User and system seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def own_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def rss_kb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_KB


def scenario(devices: int, link: str) -> Scenario:
    """Connect everybody as fast as it goes, let the counters settle, then reset and cut everybody at once."""
    return Scenario.model_validate(
        {
            "name": "figures",
            "intent": "routine",
            "fleets": {"meters": {"count": devices, "link": link}},
            "timeline": [
                {"id": "up", "start": ["meters"], "until": "recovered == 100%", "timeout": "120s"},
                {
                    "id": "reset",
                    "reset_secret": {"fleet": "meters", "slot": "primary", "force_disconnect": True},
                    "until": "recovered == 100%",
                    "timeout": "120s",
                },
            ],
        }
    )


class Meter:
    """Prints the difference that a phase made."""

    def __init__(self, devices: int, platform: int) -> None:
        self.devices, self.platform = devices, platform
        self.mark()

    def mark(self) -> None:
        self.wall = asyncio.get_running_loop().time()
        self.fleet_cpu, self.platform_cpu = own_cpu(), cpu_of(self.platform)
        self.fleet_kb, self.platform_kb = rss_kb(os.getpid()), rss_kb(self.platform)

    def show(self, what: str) -> None:
        wall = asyncio.get_running_loop().time() - self.wall
        thousands = self.devices / 1000
        fleet = (own_cpu() - self.fleet_cpu) / thousands
        platform = (cpu_of(self.platform) - self.platform_cpu) / thousands
        fleet_kb = (rss_kb(os.getpid()) - self.fleet_kb) / self.devices
        platform_kb = (rss_kb(self.platform) - self.platform_kb) / self.devices
        print(
            f"{what:34} {wall:7.2f} s   CPU s per 1,000 devices: fleet {fleet:.3f}, platform {platform:.3f}   "
            f"RSS KB per device: fleet {fleet_kb:+.1f}, platform {platform_kb:+.1f}"
        )


async def main(devices: str = "5000", link: str = "native") -> None:
    check_room(int(devices))
    with tempfile.TemporaryDirectory() as folder:
        async with child_platform(Path(folder) / "platform.jsonl") as child, Control(child.api) as control:
            await measure(scenario(int(devices), link), child, control, Path(folder) / "device.jsonl")


async def measure(plan: Scenario, child: EmbeddedPlatform, control: Control, path: Path) -> None:
    oracle, journal = Oracle(), Journal(SystemClock(), path)
    journal.listeners.append(oracle.feed)
    meter = Meter(plan.fleets["meters"].count or 0, child.pid)
    builder = Builder(journal, SystemClock(), crashed)
    world, identities = builder.build(plan, child.mqtt)
    meter.show("devices made")
    meter.mark()
    await provision(control, identities)
    meter.show("provisioned")
    with collector_spared():
        for step in plan.timeline:
            meter.mark()
            alone = plan.model_copy(update={"timeline": (step.model_copy(update={"after": ()}),)})
            await Runner(alone, world, control, Measures(oracle)).run()
            meter.show(f"{step.id}: {oracle.steps[step.id].state}")
    for driver in world.fleets["meters"].drivers.values():
        driver.stop()
    await until(lambda: not world.open_links)
    world.scheduler.clear()
    journal.close()


def crashed(device_id: str, error: Exception) -> None:
    raise AssertionError(f"{device_id} crashed") from error


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(*sys.argv[1:]))
