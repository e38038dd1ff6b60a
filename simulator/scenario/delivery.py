"""Handing secrets to devices: by a command, by a message, or out of band."""

import asyncio
import itertools
import math
from collections.abc import Callable

from simulator.control import Control
from simulator.device.keyring import Slot
from simulator.driver import Driver
from simulator.errors import PlatformUnreachable
from simulator.fleet import Fleet
from simulator.messages import SET_SECRET, set_secret_message
from simulator.scenario.flow import each, until
from simulator.scenario.steps import DeliverSecret, Step
from simulator.world import World

COMMANDS_AT_ONCE = 200
QUEUED_AT_ONCE = 2000
"""Devices that sleep are waited for side by side: nobody has to sleep twice as long for another."""

COMMAND_TIMEOUT_S = 5.0
FIRST_LOOK_S, LOOK_EVERY_S = 0.05, 5.0
"""A device that is awake has answered by then; who sleeps is asked after ever more seldom."""

RETRY_AFTER_S = 0.25
UNDER_WAY = ("PENDING", "SENT", "DELIVERED")

Touch = Callable[[str], None]


class Delivery:
    """Performs `deliver_secret`; `api` None serves deliveries out of band alone."""

    def __init__(self, world: World, api: Control | None) -> None:
        self._world = world
        self._api = api
        self._seq = itertools.count(1)
        self._waiting: dict[str, dict[str, None]] = {}

    def missing(self, step: Step) -> str:
        """Which devices have not answered a delivery yet, for the report of a step that ran out of time."""
        waiting = self._waiting.get(step.id)
        if not waiting:
            return ""
        return f"{len(waiting)} devices did not answer, among them {', '.join(itertools.islice(waiting, 3))}"

    async def perform(self, step: Step, touch: Touch) -> list[str]:
        """Hand every device of a step its secret; give the refusals of the platform, by device."""
        action = step.action
        assert isinstance(action, DeliverSecret), "the verb's own model"
        fleets = [self._world.fleets[name] for name in step.fleets]
        waiting = self._waiting[step.id] = dict.fromkeys(device for fleet in fleets for device in fleet.drivers)
        failures: list[str] = []

        async def one(driver: Driver) -> None:
            device_id = driver.device.device_id
            touch(device_id)
            if problem := await self._deliver(action, driver):
                failures.append(f"{device_id}: {problem}")
            del waiting[device_id]

        async with asyncio.TaskGroup() as tasks:
            for fleet in fleets:
                at_once = COMMANDS_AT_ONCE if _answers_at_once(fleet) else QUEUED_AT_ONCE
                tasks.create_task(each(fleet.drivers.values(), at_once, one), name=f"{step.id}.{fleet.name}")
        return failures

    async def _deliver(self, action: DeliverSecret, driver: Driver) -> str:
        """Hand one device its secret; gives the platform's refusal, if that ends it."""
        device_id, slot, ledger = driver.device.device_id, Slot(action.slot), self._world.ledger
        secret = ledger.secret_for_delivery(device_id, slot)
        paras = {"secret_type": slot.upper(), "secret": secret, "seq": next(self._seq)}
        match action.via:
            case "direct":
                driver.issue(slot, secret)
            case "message":
                if problem := await self._send(driver, paras):
                    return problem
            case _:
                send = self._commanded if driver.around.dialect.answers_at_once else self._queued
                while not await send(driver, paras):
                    await asyncio.sleep(RETRY_AFTER_S)
        ledger.delivered(device_id, slot, secret)
        return ""

    @property
    def _control(self) -> Control:
        assert self._api is not None, "a scenario for a bare broker has no delivery that needs it"
        return self._api

    async def _send(self, driver: Driver, paras: dict[str, object]) -> str:
        """Send `set_secret` without waiting for an answer; give the platform's refusal."""
        device_id = driver.device.device_id
        if driver.around.dialect.answers_at_once:
            answer = await self._control.message(device_id, *set_secret_message(device_id, paras))
        else:
            answer = await self._control.queue_command(device_id, SET_SECRET, paras)
        return "" if answer.ok else answer.problem

    async def _commanded(self, driver: Driver, paras: dict[str, object]) -> bool:
        """Send `set_secret` once the device is online; False asks for another try."""
        await until(lambda: driver.online)
        try:
            answer = await self._control.command(
                driver.device.device_id, SET_SECRET, paras, timeout_s=COMMAND_TIMEOUT_S
            )
        except PlatformUnreachable:
            return False
        response = answer.body.get("response") or {}
        return answer.ok and response.get("result_code") == 0

    async def _queued(self, driver: Driver, paras: dict[str, object]) -> bool:
        """Leave `set_secret` with the platform until the device shows itself; False asks for another try.

        What a device answers is lost with its registration: then the command stays delivered, and another is sent.
        """
        device_id, loop = driver.device.device_id, asyncio.get_running_loop()
        wait_s, delivered_at = FIRST_LOOK_S, math.inf
        try:
            command_id = (await self._control.queue_command(device_id, SET_SECRET, paras)).body.get("command_id")
            while command_id is not None:
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, LOOK_EVERY_S)
                status = (await self._control.queued_command(device_id, str(command_id))).body.get("status")
                if status == "DELIVERED":
                    delivered_at = min(delivered_at, loop.time())
                if status not in UNDER_WAY or loop.time() > delivered_at + COMMAND_TIMEOUT_S:
                    return status == "SUCCESSFUL"
        except PlatformUnreachable:
            pass
        return False


def _answers_at_once(fleet: Fleet) -> bool:
    """Whether its devices do: all of them speak the same."""
    return next(iter(fleet.drivers.values())).around.dialect.answers_at_once
