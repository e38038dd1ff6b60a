"""keyturn's own fleet of NB-IoT devices: handshake, registration, and one report once the platform observes."""

import asyncio

from simulator.scenario.flow import until
from simulator.scenario.model import Scenario
from tests.benchmarks.devices import FLEET
from tests.benchmarks.fleet import UP, Stage
from tests.benchmarks.meter import SETTLE_S, Result, connected, mark
from tests.benchmarks.servers import Server


async def over_dtls(server: Server, devices: int) -> Result:
    return await _register(server, devices, "psk")


async def in_the_clear(server: Server, devices: int) -> Result:
    return await _register(server, devices, "none")


async def _register(server: Server, devices: int, security: str) -> Result:
    """Register all at once; then each reports, which takes an observer, until all reports are acknowledged."""
    fleet = {"count": devices, "protocol": "lwm2m", "security": security}
    plan = Scenario.model_validate({"name": "figures", "fleets": {FLEET: fleet}, "timeline": [UP]})
    empty = mark(server.pid)
    async with Stage.set(server, plan) as stage:
        before = mark(server.pid)
        await stage.play("up")
        registered = mark(server.pid)
        drivers = stage.world.fleets[FLEET].drivers.values()
        for driver in drivers:
            driver.report({"number": 1}, qos=1)
        await until(lambda: not any(driver.owes for driver in drivers))
        after = mark(server.pid)
        await asyncio.sleep(SETTLE_S)
        idle = mark(server.pid)
    wall = {"registered_s": registered.wall_s - before.wall_s, "reported_s": after.wall_s - before.wall_s}
    return {**wall, **connected(empty, before, after, idle)}
