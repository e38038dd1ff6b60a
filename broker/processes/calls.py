"""Calls of the control API that are for one device: made in the process that has it, as if it were the only one."""

import asyncio
from typing import Any

from broker.access.delivery import Fate
from broker.access.payloads import Json
from broker.auth.registry import Registry
from broker.commands import Answer, Command
from broker.errors import DeviceOffline, UnknownDevice
from broker.mailbox import DeviceMessage, Mailbox
from broker.messages import NewMessage
from broker.processes.everywhere import Everywhere
from broker.processes.homes import Homes
from broker.processes.member import Asked, Member


class FarDesk:
    """Has calls made where the device is; what is for one that is nowhere finds a place."""

    def __init__(self, registry: Registry, homes: Homes, everywhere: Everywhere, patience_s: float) -> None:
        self._registry = registry
        self._homes = homes
        self._everywhere = everywhere
        self._patience_s = patience_s

    async def ask(self, device_id: str, call: str, *arguments: Any, keeps: bool = False, timeout_s: float = 0.0) -> Any:
        """Raises UnknownDevice, DeviceOffline without any process to ask, and what the call raises."""
        if self._registry.get(device_id) is None:
            raise UnknownDevice(device_id)
        asked: asyncio.Future[Asked] = asyncio.get_running_loop().create_future()

        def make(home: Member | None) -> None:
            """Post the call in the very turn in which the device is where it is."""
            member = home or self._anybody()
            if member is None:
                if not asked.done():
                    asked.set_exception(DeviceOffline(f"device {device_id!r}: no access process is up"))
                return
            if keeps:
                self._homes.settle_in(device_id, member)
            answer = member.ask(call, device_id, *arguments)
            if not asked.done():
                asked.set_result(answer)

        self._homes.when_settled(device_id, make)
        return await (await asked).wait(timeout_s + self._patience_s)

    def _anybody(self) -> Member | None:
        return next((one for one in self._everywhere.members if one.serves), None)


class FarCommands:
    def __init__(self, desk: FarDesk) -> None:
        self._desk = desk

    async def send(self, device_id: str, command: Command, timeout_s: float) -> Answer:
        return await self._ask(device_id, "command", command, timeout_s)

    async def get_properties(self, device_id: str, service_id: str, timeout_s: float) -> Answer:
        return await self._ask(device_id, "get_properties", service_id, timeout_s)

    async def set_properties(self, device_id: str, services: Json, timeout_s: float) -> Answer:
        return await self._ask(device_id, "set_properties", services, timeout_s)

    async def _ask(self, device_id: str, call: str, what: object, timeout_s: float) -> Answer:
        answer: Answer = await self._desk.ask(device_id, call, what, timeout_s, timeout_s=timeout_s)
        return answer


class FarMessages:
    def __init__(self, desk: FarDesk) -> None:
        self._desk = desk

    async def post(self, device_id: str, new: NewMessage) -> DeviceMessage:
        message: DeviceMessage = await self._desk.ask(device_id, "post", new, keeps=True)
        return message

    async def kept(self, device_id: str) -> Mailbox:
        mailbox: Mailbox = await self._desk.ask(device_id, "kept")
        return mailbox

    async def forget(self, device_id: str, message_id: str) -> None:
        await self._desk.ask(device_id, "forget", message_id)

    async def send(self, device_id: str, topic: str | None, payload: bytes, qos: int) -> Fate:
        fate: Fate = await self._desk.ask(device_id, "send", topic, payload, qos)
        return fate
