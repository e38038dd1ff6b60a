"""The same story of paho-mqtt's clients with mosquitto alone and through an open gate: they notice no difference."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from tests.broker.rig import BOTH_VERSIONS
from tests.peers.general_clients import Scene, alone_scene, gate_scene
from tests.support.waiting import until

pytestmark = pytest.mark.peer

Noticed = list[tuple[object, ...]]


class PahoClient:
    """A client on a thread of its own; `noticed` is every call back, in order."""

    def __init__(self, client_id: str, level: int, noticed: Noticed, will: str | None = None) -> None:
        version = paho.MQTTv5 if level == 5 else paho.MQTTv311
        more = {} if level == 5 else {"clean_session": False}
        self.level = level
        self.noticed = noticed
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id, protocol=version, **more)
        if will is not None:
            self._client.will_set(will, b"gone", 1)
        note: Callable[..., None] = lambda *what: noticed.append(what)  # noqa: E731 - a name for what each call back does
        self._client.on_connect = lambda _, __, flags, code, asked: note("connect", flags.session_present, str(code))
        self._client.on_disconnect = lambda _, __, ___, code, asked: note("disconnect", str(code))
        self._client.on_subscribe = lambda _, __, mid, codes, asked: note("subscribe", mid, *map(str, codes))
        self._client.on_unsubscribe = lambda _, __, mid, codes, asked: note("unsubscribe", mid, *map(str, codes))
        self._client.on_publish = lambda _, __, mid, code, asked: note("publish", mid, str(code))
        self._client.on_message = lambda _, __, one: note("message", *shown(one))

    async def come(self, port: int) -> None:
        more: dict[str, Any] = {}
        if self.level == 5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 60
            more = {"clean_start": False, "properties": properties}
        self._client.connect("127.0.0.1", port, 60, **more)
        await self._until("connect", self._client.loop_start)

    async def subscribe(self, *filters: tuple[str, int]) -> None:
        options = [(one, SubscribeOptions(qos)) if self.level == 5 else (one, qos) for one, qos in filters]
        await self._until("subscribe", lambda: self._client.subscribe(options))

    async def unsubscribe(self, *filters: str) -> None:
        await self._until("unsubscribe", lambda: self._client.unsubscribe(list(filters)))

    async def publish(self, topic: str, payload: bytes, qos: int, **fields: Any) -> None:
        await self._until("publish", lambda: self._client.publish(topic, payload, qos, **fields))

    async def hear(self, count: int) -> None:
        """Wait until so many messages have come in all."""
        await until(lambda: self._count("message") >= count, f"message {count}")

    async def leave(self) -> None:
        await self._until("disconnect", self._client.disconnect)
        await self.vanish()

    async def vanish(self) -> None:
        await asyncio.to_thread(self._client.loop_stop)
        self._client._reset_sockets()

    async def _until(self, what: str, action: Callable[[], object]) -> None:
        count = self._count(what)
        action()
        await until(lambda: self._count(what) > count, what)

    def _count(self, what: str) -> int:
        return sum(one[0] == what for one in self.noticed)


def shown(one: paho.MQTTMessage) -> tuple[object, ...]:
    properties = one.properties.json() if one.properties is not None else None
    return one.topic, bytes(one.payload), one.qos, one.retain, one.dup, properties


async def story(scene: Scene) -> dict[str, Noticed]:
    """Everything that general clients do, one after the other."""
    noticed: dict[str, Noticed] = {"receiver": [], "sender": []}
    receiver = PahoClient("receiver", scene.level, noticed["receiver"])
    sender = PahoClient("sender", scene.level, noticed["sender"], will="gone")
    await sender.come(scene.port)
    await sender.publish("a/kept", b"kept", 1, retain=True)
    await receiver.come(scene.port)
    await receiver.subscribe(("a/#", 2), ("gone", 1), ("$SYS/broker/version", 0))
    await receiver.hear(2)
    for qos in (0, 1, 2):
        await sender.publish("a/b", b"%d" % qos, qos, **more(scene.level))
        await receiver.hear(3 + qos)
    await receiver.publish("a/b", b"to myself", 2)
    await receiver.hear(6)
    await receiver.leave()
    for qos in (1, 2):
        await sender.publish("a/b", b"while you were out %d" % qos, qos)
    await receiver.come(scene.port)
    await receiver.hear(8)
    await receiver.unsubscribe("a/#", "never/there")
    await sender.publish("a/b", b"unheard", 1)
    await sender.vanish()
    await receiver.hear(9)
    await receiver.leave()
    return noticed


def more(level: int) -> dict[str, Properties]:
    """Properties of a message, where there are any."""
    if level < 5:
        return {}
    properties = Properties(PacketTypes.PUBLISH)
    properties.UserProperty = [("a", "2"), ("c", "3")]
    properties.ResponseTopic, properties.CorrelationData = "re", b"\0\1"
    properties.ContentType, properties.PayloadFormatIndicator = "text/plain", 1
    return {"properties": properties}


@BOTH_VERSIONS
async def test_clients_notice_no_difference(tmp_path: Path, level: int) -> None:
    async with (
        alone_scene(tmp_path / "alone", level) as alone,
        gate_scene(tmp_path / "gate", level) as gate,
        asyncio.TaskGroup() as both,
    ):
        expected, noticed = both.create_task(story(alone)), both.create_task(story(gate))
    assert noticed.result() == expected.result()
    heard = [one[2] for one in noticed.result()["receiver"] if one[0] == "message"]
    assert heard[2:] == [b"0", b"1", b"2", b"to myself", b"while you were out 1", b"while you were out 2", b"gone"]
