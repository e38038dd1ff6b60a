"""MQTT 5 as paho sees it: the DISCONNECT comes before the close, with its reason."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from paho.mqtt.client import Client as Paho
from paho.mqtt.client import MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from tests.broker.rig import DEADLINE_S, PRIMARY, SECONDARY, Rig, sign


class Device:
    """A paho client on its own thread that notes its connects, and every end with what paho says of it."""

    def __init__(self, rig: Rig, secret: str) -> None:
        hour = datetime.now(UTC).strftime("%Y%m%d%H")
        self._loop = asyncio.get_running_loop()
        self._news: asyncio.Queue[tuple[str, Any, Any]] = asyncio.Queue()
        self.paho = Paho(CallbackAPIVersion.VERSION2, f"d1_0_0_{hour}", protocol=MQTTv5, reconnect_on_failure=False)
        self.paho.username_pw_set("d1", sign(secret, hour).decode())
        self.paho.on_connect = lambda _client, _data, _flags, code, more: self._note("connected", code, more)
        self.paho.on_disconnect = lambda _client, _data, flags, code, more: self._note(
            "disconnected" if flags.is_disconnect_packet_from_server else "lost", code, more
        )
        self.paho.connect_async("127.0.0.1", rig.platform.mqtt_port, keepalive=60)

    def _note(self, what: str, code: Any, properties: Any) -> None:
        self._loop.call_soon_threadsafe(self._news.put_nowait, (what, code, properties))

    async def news(self) -> tuple[str, int, str | None]:
        """Return what happened next, its reason code and its reason string."""
        async with asyncio.timeout(DEADLINE_S):
            what, code, properties = await self._news.get()
        return what, code.value, getattr(properties, "ReasonString", None)


@asynccontextmanager
async def paho(rig: Rig, secret: str = PRIMARY) -> AsyncIterator[Device]:
    device = Device(rig, secret)
    device.paho.loop_start()
    try:
        yield device
    finally:
        device.paho.loop_stop()


async def test_forced_reset_is_seen_as_an_administrative_action_before_the_close(rig: Rig) -> None:
    async with paho(rig) as device:
        assert await device.news() == ("connected", 0, None)
        await rig.reset(force_disconnect=True)
        assert await device.news() == ("disconnected", 0x98, "a secret of the device was reset")


async def test_take_over_is_seen_as_such_before_the_close(rig: Rig) -> None:
    async with paho(rig) as old:
        assert await old.news() == ("connected", 0, None)
        async with paho(rig, SECONDARY) as new:
            assert await new.news() == ("connected", 0, None)
            assert await old.news() == ("disconnected", 0x8E, None)


async def test_refusal_is_seen_with_its_reason_code(rig: Rig) -> None:
    async with paho(rig, "wrong-secret") as device:
        assert await device.news() == ("connected", 0x86, None)


async def test_connack_tells_what_is_offered(rig: Rig) -> None:
    async with paho(rig) as device:
        _, _, offer = await device._news.get()
    assert (offer.MaximumQoS, offer.RetainAvailable, offer.TopicAliasMaximum) == (1, 0, 0)
    assert (offer.SharedSubscriptionAvailable, offer.SubscriptionIdentifierAvailable) == (0, 0)
