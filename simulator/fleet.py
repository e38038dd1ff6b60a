"""Many devices on one loop: started over a ramp, reporting telemetry, and guarded from each other."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from simulator.device.backoff import jitter
from simulator.driver import Driver
from simulator.scheduler import Scheduler

POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What each device reports; `padding` bytes of filling in every payload."""

    every_s: float
    qos: int = 1
    padding: int = 0


class Fleet:
    """Devices that are steered together."""

    def __init__(
        self, name: str, drivers: Sequence[Driver], scheduler: Scheduler, telemetry: Telemetry | None = None
    ) -> None:
        self.name = name
        self.drivers = {driver.device.device_id: driver for driver in drivers}
        self._scheduler = scheduler
        self._telemetry = telemetry
        self._reporting = False
        self._begun = 0

    def spread(self, over_s: float, act: Callable[[Driver, float], None]) -> Awaitable[None]:
        """Call `act(driver, intended time)` for every device, evenly over a time; await it until all were."""
        start, count = self._scheduler.now(), len(self.drivers)
        left = asyncio.get_running_loop().create_future()
        remaining = count

        def one(driver: Driver, when: float) -> None:
            nonlocal remaining
            act(driver, when)
            remaining -= 1
            if not remaining and not left.done():
                left.set_result(None)

        for number, driver in enumerate(self.drivers.values()):
            when = start + over_s * number / count
            self._scheduler.at(when, functools.partial(one, driver, when))
        return left

    def set_network(self, *, up: bool) -> None:
        """Take the network from all devices, or give it back."""
        for driver in self.drivers.values():
            driver.around.network_up = up
            if not up:
                driver.cut("network down")

    def begin_telemetry(self) -> None:
        """Let every device report from now on, each at its own phase."""
        if self._telemetry is None or self._reporting:
            return
        self._reporting = True
        self._begun += 1
        now = self._scheduler.now()
        for driver in self.drivers.values():
            phase = jitter(driver.device.seed, driver.device.device_id, 0) * self._telemetry.every_s
            first = now + phase
            self._scheduler.at(first, functools.partial(self._report, self._begun, driver, first, 1))

    def end_telemetry(self) -> None:
        self._reporting = False

    def _report(self, begun: int, driver: Driver, due: float, number: int) -> None:
        """Report and set the next time, unless telemetry has ended since it was begun."""
        if self._telemetry is None or not self._reporting or begun != self._begun:
            return
        driver.report({"number": number, "padding": "." * self._telemetry.padding}, qos=self._telemetry.qos)
        following = due + self._telemetry.every_s  # from the due time: a late loop does not thin the load out
        self._scheduler.at(following, functools.partial(self._report, begun, driver, following, number + 1))


async def drain(fleets: Mapping[str, Fleet], timeout_s: float) -> None:
    """Wait until no online device has an unacknowledged message, at most `timeout_s`."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while asyncio.get_running_loop().time() < deadline:
        if not any(driver.owes for fleet in fleets.values() for driver in fleet.drivers.values()):
            return
        await asyncio.sleep(POLL_S)
