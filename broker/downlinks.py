"""What the control API wants of devices, whichever process they are connected to."""

from typing import Protocol

from broker.access.delivery import Fate
from broker.access.payloads import Json
from broker.commands import Answer, Command
from broker.mailbox import DeviceMessage, Mailbox
from broker.messages import NewMessage


class CommandDesk(Protocol):
    """`broker.commands.Commands`, or a way to them."""

    async def send(self, device_id: str, command: Command, timeout_s: float) -> Answer: ...

    async def get_properties(self, device_id: str, service_id: str, timeout_s: float) -> Answer: ...

    async def set_properties(self, device_id: str, services: Json, timeout_s: float) -> Answer: ...


class MessageDesk(Protocol):
    """`broker.messages.Messages`, or a way to them."""

    async def post(self, device_id: str, new: NewMessage) -> DeviceMessage: ...

    async def kept(self, device_id: str) -> Mailbox: ...

    async def forget(self, device_id: str, message_id: str) -> None: ...

    async def send(self, device_id: str, topic: str | None, payload: bytes, qos: int) -> Fate: ...
