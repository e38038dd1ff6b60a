"""The engines that the platform is tried with, and what a test says to them."""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any

import pytest

from broker.engines.address import EngineAddress
from tests.broker.rig import Client, Rig, connect
from tests.support.mosquitto import Mosquitto
from tests.support.waiting import DEADLINE_S, LOOK_EVERY_S
from wire.mqtt import (
    ConnAck,
    Connect,
    PingReq,
    PingResp,
    Properties,
    PubAck,
    Publish,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
)

COMMANDS = "$oc/devices/d1/sys/commands/#"
OWN = "$oc/devices/d1/sys/messages/down"

BROKERS = ("mosquitto", "mosquitto-unix", "rabbitmq")
"""Programs that we did not write: tests with them are of peers."""
NAMES = ("builtin", "amqtt", *BROKERS)
SPEAK_5 = ("builtin", "mosquitto", "mosquitto-unix")


@dataclass(frozen=True)
class Engine:
    """One engine that runs; `mosquitto` is there if it is one."""

    name: str
    url: str
    mosquitto: Mosquitto | None = None

    @property
    def address(self) -> EngineAddress:
        return EngineAddress.parse(self.url)

    @property
    def speaks_5(self) -> bool:
        return self.name in SPEAK_5

    async def direct(self, packet: Connect) -> tuple[Client, ConnAck]:
        """Log in to the broker itself, past the gate."""
        address = self.address
        if address.path:
            client = Client(*await asyncio.open_unix_connection(address.path))
        else:
            client = await Client.open(address.port)
        client.send(Connect(packet.client_id, address.username, address.login, clean_session=packet.clean_session))
        answer = await client.receive()
        assert isinstance(answer, ConnAck)
        return client, answer

    async def serves(self) -> None:
        """Wait until it does: it takes connections at one address before it is at the other."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                with contextlib.suppress(OSError):
                    client, _ = await self.direct(Connect("nobody"))
                    client.writer.close()
                    return
                await asyncio.sleep(LOOK_EVERY_S)


def param(name: str, *more: object) -> Any:
    """One engine as a parameter of a test."""
    marks = [pytest.mark.peer] if name in BROKERS else []
    return pytest.param(name, *more, marks=marks, id="-".join([name, *map(str, more)]))


def engines(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("engine", [param(name) for name in names], indirect=True)


EVERY = engines(*NAMES)
RELAYED = engines(*NAMES[1:])
IN_EVERY_VERSION = pytest.mark.parametrize(
    ("engine", "level"),
    [param(name, level) for name in NAMES for level in (4, 5) if level == 4 or name in SPEAK_5],
    indirect=["engine"],
)
"""For what holds in whatever MQTT version the client and the engine speak."""


async def subscribe(client: Client, *filters: tuple[str, int], packet_id: int = 1) -> tuple[int, ...]:
    client.send(Subscribe(packet_id, filters))
    answer = await client.receive()
    assert isinstance(answer, SubAck), answer
    assert answer.packet_id == packet_id
    return answer.codes


async def unsubscribe(client: Client, *filters: str, packet_id: int = 1) -> tuple[int, ...]:
    client.send(Unsubscribe(packet_id, filters))
    answer = await client.receive()
    assert isinstance(answer, UnsubAck), answer
    assert answer.packet_id == packet_id
    return answer.codes


async def nothing_more(client: Client) -> None:
    """Show that nothing is on its way: the answer to a ping comes next."""
    client.send(PingReq())
    assert await client.receive() == PingResp()


async def message(client: Client) -> Publish:
    """Receive a message and acknowledge it."""
    packet = await client.receive()
    assert isinstance(packet, Publish), packet
    if packet.qos:
        client.send(PubAck(packet.packet_id))
    return packet


async def publish(client: Client, topic: str, payload: bytes, qos: int = 1, packet_id: int = 7) -> None:
    """Publish, and wait until it is taken."""
    client.send(Publish(topic, payload, qos, packet_id * bool(qos)))
    if qos:
        answer = await client.receive()
        assert isinstance(answer, PubAck), answer
        assert answer.packet_id == packet_id
    else:
        await nothing_more(client)


def persistent(level: int = 4, device_id: str = "d1", **fields: Any) -> Connect:
    """Make a CONNECT that wants its state kept."""
    if level == 5:
        fields = {"properties": Properties(session_expiry_interval=3600), **fields}
    return connect(device_id, level=level, **{"clean_session": False, **fields})


async def enter(rig: Rig, packet: Connect) -> tuple[Client, ConnAck]:
    client = await rig.client()
    client.send(packet)
    answer = await client.receive()
    assert isinstance(answer, ConnAck), answer
    assert answer.code == 0, answer
    return client, answer


async def command(rig: Rig, device_id: str = "d1") -> None:
    """Send a command without waiting for its answer."""
    await rig.call("POST", f"/_platform/devices/{device_id}/commands", {"command_name": "c", "timeout": 0.01})
