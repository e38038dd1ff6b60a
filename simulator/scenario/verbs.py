"""What each verb of the timeline does to the fleets and to the platform."""

import asyncio
import functools
import math
from collections.abc import Awaitable, Callable, Sequence

from simulator.control import Answer, Control
from simulator.credentials import fingerprint
from simulator.device.keyring import Slot
from simulator.driver import Driver
from simulator.errors import PlatformUnreachable
from simulator.fleet import Fleet
from simulator.scenario.delivery import Delivery
from simulator.scenario.flow import each
from simulator.scenario.steps import DeliverSecret, Network, ResetSecret, Step, Verb
from simulator.world import World, shuffled

RESETS_AT_ONCE = 64
RETRY_AFTER_S = 0.25
WAVE_DRAW = -2


class StepFailed(Exception):
    """A step did not reach what it stands for; the message says how far it came."""


class Verbs:
    """Performs one step's verb; `unanswered` are the devices whose last reset got no reply yet."""

    def __init__(self, world: World, control: Control | None, seed: int) -> None:
        self._world = world
        self._api = control
        self._seed = seed
        self._delivery = Delivery(world, control)
        self.missing = self._delivery.missing
        self.unanswered: set[str] = set()

    def planned_s(self, step: Step) -> float:
        """How long the step's own schedule takes: its ramp, or its waves but the last."""
        devices = len(self._devices(step))
        waves_s = (math.ceil(devices / step.waves.size) - 1) * step.waves.every if step.waves else 0.0
        return step.over + waves_s + (step.wait or 0.0)

    async def perform(self, step: Step, aborted: Callable[[], str]) -> None:
        """Do it; StepFailed, also when `aborted` gives a reason, or PlatformUnreachable for want of any answer."""
        match step.verb:
            case Verb.START:
                await self._spread(step, self._start)
            case Verb.STOP:
                await self._spread(step, self._stop)
            case Verb.RECONNECT:
                await self._spread(step, self._reconnect)
            case Verb.NETWORK:
                self._network(step)
            case Verb.RESET_SECRET:
                await self._reset(step, aborted)
            case Verb.DELIVER_SECRET:
                await self._deliver(step)
            case Verb.FREEZE:
                await self._call_for_each(step, self._control.freeze)
            case Verb.UNFREEZE:
                await self._call_for_each(step, self._control.unfreeze)
            case Verb.ADVANCE_CLOCKS | Verb.WAIT:
                await self._let_time_pass(step)

    def _fleets(self, step: Step) -> list[Fleet]:
        return [self._world.fleets[name] for name in step.fleets]

    def _devices(self, step: Step) -> list[str]:
        return [device for fleet in self._fleets(step) for device in fleet.drivers]

    def _touch(self, step: Step, device_id: str, **fields: object) -> None:
        """Open the step's window for a device."""
        self._world.journal.write("action", device=device_id, step=step.id, verb=step.verb, **fields)

    # -- on the devices

    async def _spread(self, step: Step, act: Callable[[Step, Driver, float], None]) -> None:
        for fleet in self._fleets(step):
            if step.verb is Verb.START:
                fleet.begin_telemetry()
        await asyncio.wait(
            [
                asyncio.ensure_future(fleet.spread(step.over, lambda driver, when: act(step, driver, when)))
                for fleet in self._fleets(step)
            ]
        )

    def _start(self, step: Step, driver: Driver, intended: float) -> None:
        self._touch(step, driver.device.device_id, intended=round(intended, 6))
        driver.start()

    def _stop(self, step: Step, driver: Driver, _intended: float) -> None:
        self._touch(step, driver.device.device_id)
        driver.stop()

    def _reconnect(self, step: Step, driver: Driver, _intended: float) -> None:
        self._touch(step, driver.device.device_id)
        driver.cut("told to reconnect")

    def _network(self, step: Step) -> None:
        assert isinstance(step.action, Network), "the verb's own model"
        for fleet in self._fleets(step):
            for device_id in fleet.drivers:
                self._touch(step, device_id, state=step.action.state)
            fleet.set_network(up=step.action.state == "up")

    # -- through the control API

    @property
    def _control(self) -> Control:
        assert self._api is not None, "a scenario for a bare broker has no step that needs it"
        return self._api

    async def _call_for_each(self, step: Step, call: Callable[[str], Awaitable[Answer]]) -> None:
        failures: list[str] = []

        async def one(device_id: str) -> None:
            self._touch(step, device_id)
            answer = await call(device_id)
            if not answer.ok:
                failures.append(f"{device_id}: {answer.problem}")

        await each(self._devices(step), RESETS_AT_ONCE, one)
        _fail_with(failures, step.verb)

    async def _deliver(self, step: Step) -> None:
        action = step.action
        assert isinstance(action, DeliverSecret), "the verb's own model"
        touch = functools.partial(self._touch, step, slot=action.slot, via=action.via)
        _fail_with(await self._delivery.perform(step, touch), "delivery")

    async def _let_time_pass(self, step: Step) -> None:
        """Wait, or put all wall clocks forward instead."""
        if step.advance_clocks is None:
            await asyncio.sleep(step.wait or 0.0)
            return
        answer = await self._control.advance_clock(step.advance_clocks)
        if not answer.ok:
            raise StepFailed(f"the platform's clock stays as it is: {answer.problem}")
        self._world.clock.put_forward(step.advance_clocks)

    async def _reset(self, step: Step, aborted: Callable[[], str]) -> None:
        """Send the resets, wave after wave, unless `aborted` gives a reason; done when every reply is in."""
        action = step.action
        assert isinstance(action, ResetSecret), "the verb's own model"
        order = shuffled(self._devices(step), self._seed, WAVE_DRAW)
        failures: list[str] = []
        reason, loop = "", asyncio.get_running_loop()
        async with asyncio.TaskGroup() as waves:
            begun = loop.time()
            for number, wave in enumerate(_waves(step, order)):
                if step.waves is not None:
                    await asyncio.sleep(max(0.0, begun + number * step.waves.every - loop.time()))
                if reason := aborted():
                    break
                waves.create_task(
                    each(wave, RESETS_AT_ONCE, lambda device_id: self._reset_one(step, action, device_id, failures)),
                    name=f"{step.id}.wave-{number}",
                )
        if reason := reason or aborted():
            raise StepFailed(f"aborted: {reason}")
        _fail_with(failures, "reset")

    async def _reset_one(self, step: Step, action: ResetSecret, device_id: str, failures: list[str]) -> None:
        """Reset one device's secret; without a reply, ask again with the same value."""
        slot, ledger = Slot(action.slot), self._world.ledger
        secret = ledger.secret_for_reset(device_id, slot) if action.secret == "seeded" else None
        about = {"device": device_id, "step": step.id, "slot": slot, "forced": action.force_disconnect}
        mark = fingerprint(secret) if secret else None
        self._touch(step, device_id, slot=slot)
        answer: Answer | None = None
        while answer is None:
            self._world.journal.write("reset", state="sent", fingerprint=mark, **about)
            try:
                answer = await self._control.reset_secret(
                    device_id, slot, secret=secret, force_disconnect=action.force_disconnect
                )
            except PlatformUnreachable:
                self.unanswered.add(device_id)
                self._world.journal.write("reset", state="unanswered", fingerprint=mark, **about)
                await asyncio.sleep(RETRY_AFTER_S)
        self.unanswered.discard(device_id)
        confirmed = answer.body.get("secret", secret)
        if answer.ok and isinstance(confirmed, str):
            ledger.reset_answered(device_id, slot, confirmed)
            self._world.journal.write("reset", state="answered", fingerprint=fingerprint(confirmed), **about)
        else:
            self._world.journal.write("reset", state="failed", fingerprint=mark, status=answer.status, **about)
            failures.append(f"{device_id}: {answer.problem}")


def _waves(step: Step, order: Sequence[str]) -> list[Sequence[str]]:
    if step.waves is None:
        return [order]
    return [order[start : start + step.waves.size] for start in range(0, len(order), step.waves.size)]


def _fail_with(failures: Sequence[str], what: str) -> None:
    if failures:
        raise StepFailed(f"{len(failures)} devices: {what} failed, first {failures[0]}")
