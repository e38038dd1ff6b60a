"""A running platform tells real receivers how NB-IoT devices are, and what it tells is what it shows."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiocoap import Code

from tests.broker.control_api.test_routing_rules import Rules
from tests.broker.lwm2m.nb_device import KEY, NEW_KEY, NbDevice, nb_device
from tests.broker.rig import FakeClock, Rig, running
from tests.support.receiver import Receiver, receiving

HOUR_S = 3600
LONG = "&lt=2000000&b=U"


@pytest.fixture
async def rig(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Rig]:
    async with running(tmp_path, clock, coap_port=0, coaps_port=0, sweep_s=0.01, strict_dtls=True) as rig:
        await rig.provision("m1", protocol="coap", primary=KEY, secondary=None, node_id="n1", product_id="p")
        yield rig


@pytest.fixture
async def receiver(rig: Rig) -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        await Rules(rig).active(receiver.url)
        yield receiver


async def shown(rig: Rig) -> str:
    return str((await rig.call("GET", "/v5/iot/p/devices/m1")).body["status"])


async def told(rig: Rig, receiver: Receiver, *expected: str) -> None:
    """Wait for pushes; there are no others, and the last one says what the platform shows."""
    await receiver.until(len(expected))
    assert receiver.statuses("m1") == list(expected)
    assert await shown(rig) == expected[-1]


async def is_told_next(rig: Rig, receiver: Receiver, device: NbDevice, *expected: str) -> None:
    """Nothing was to be told, so that what the device's end brings about is the next push."""
    location = await device.register("n1", LONG)
    assert (await device.request(Code.DELETE, location)).code is Code.DELETED
    await told(rig, receiver, *expected)


def coap(rig: Rig) -> int:
    return rig.platform.more_ports["coap"]


async def test_pushes_follow_how_long_a_device_is_silent(rig: Rig, receiver: Receiver, clock: FakeClock) -> None:
    async with nb_device(coap(rig)) as device:
        await device.register("n1", LONG)
        await told(rig, receiver, "ONLINE")
        location = await device.register("n1", LONG)
        assert (await device.request(Code.POST, location)).code is Code.CHANGED
        clock.advance(25 * HOUR_S + 1)
        await told(rig, receiver, "ONLINE", "ABNORMAL")
        device.report(b'{"seq": 1}', 1)
        await told(rig, receiver, "ONLINE", "ABNORMAL", "ONLINE")
        clock.advance(25 * HOUR_S + 1)
        await told(rig, receiver, "ONLINE", "ABNORMAL", "ONLINE", "ABNORMAL")
        clock.advance(24 * HOUR_S)
        await told(rig, receiver, "ONLINE", "ABNORMAL", "ONLINE", "ABNORMAL", "OFFLINE")
        assert (await device.request(Code.POST, location)).code is Code.CHANGED
        await told(rig, receiver, "ONLINE", "ABNORMAL", "ONLINE", "ABNORMAL", "OFFLINE", "ONLINE")
        assert (await device.request(Code.DELETE, location)).code is Code.DELETED
        await told(rig, receiver, "ONLINE", "ABNORMAL", "ONLINE", "ABNORMAL", "OFFLINE", "ONLINE", "OFFLINE")


async def test_push_tells_whose_it_is_and_when_the_device_came_last(
    rig: Rig, receiver: Receiver, clock: FakeClock
) -> None:
    async with nb_device(coap(rig)) as device:
        await device.register("n1", LONG)
        await device.ping()
        clock.advance(26 * HOUR_S)
        push = (await receiver.until(2))[-1]
    header, body = push["notify_data"]["header"], push["notify_data"]["body"]
    assert (header["device_id"], header["node_id"], header["product_id"]) == ("m1", "n1", "p")
    assert body == {
        "status": "ABNORMAL",
        "last_online_time": "20261121T193000Z",
        "status_update_time": "2026-11-22T21:30:00.000Z",
    }


@pytest.mark.parametrize("end", ["freeze", "delete", "mqtt"])
async def test_device_that_is_kept_out_is_offline(rig: Rig, receiver: Receiver, end: str) -> None:
    async with nb_device(coap(rig)) as device:
        await device.register("n1", LONG)
        await receiver.until(1)
        if end == "freeze":
            await rig.call("POST", "/v5/iot/p/devices/m1/freeze")
            assert await shown(rig) == "FROZEN"
            await rig.call("POST", "/v5/iot/p/devices/m1/unfreeze")
        elif end == "delete":
            await rig.call("DELETE", "/v5/iot/p/devices/m1")
        else:
            await rig.provision("m1", node_id="n1", product_id="p")
    await receiver.until(2)
    assert receiver.statuses("m1") == ["ONLINE", "OFFLINE"]
    if end != "delete":
        assert await shown(rig) == "OFFLINE"


async def test_lifetime_that_is_over_and_secret_that_is_reset_are_no_silence(
    rig: Rig, receiver: Receiver, clock: FakeClock
) -> None:
    async with nb_device(rig.platform.more_ports["coaps"], "n1") as device, nb_device(coap(rig)) as other:
        assert await device.handshake()
        await device.register("n1", "&lt=60")
        clock.advance(60)
        await rig.record("unregistered", device="m1", reason="expired")
        await device.register("n1", LONG)
        await rig.reset("m1", secret=NEW_KEY)
        await rig.record("unregistered", device="m1", reason="reset")
        assert await shown(rig) == "ONLINE"
        await is_told_next(rig, receiver, other, "ONLINE", "OFFLINE")


async def test_device_that_was_never_there_is_not_told_of(rig: Rig, receiver: Receiver) -> None:
    async with nb_device(coap(rig)) as device:
        await rig.call("POST", "/v5/iot/p/devices/m1/freeze")
        assert (await device.request(Code.POST, "rd", "ep=n1")).code is Code.FORBIDDEN
        await rig.call("POST", "/v5/iot/p/devices/m1/unfreeze")
        await is_told_next(rig, receiver, device, "ONLINE", "OFFLINE")


async def test_devices_that_fall_silent_together_are_all_told_of(
    rig: Rig, receiver: Receiver, clock: FakeClock
) -> None:
    names = [f"s{number}" for number in range(50)]
    await rig.provision(*names, protocol="coap", primary=KEY, secondary=None)
    async with AsyncExitStack() as open_sockets:  # all at once, lest the kernel gives a port twice
        for one in names:
            device = await open_sockets.enter_async_context(nb_device(coap(rig)))
            await device.register(one, LONG)
            await device.ping()  # what it answers to that is heard by now
    clock.advance(50 * HOUR_S)
    await receiver.until(2 * len(names))
    statuses: list[Any] = [receiver.statuses(one) for one in names]
    assert statuses == [["ONLINE", "OFFLINE"]] * len(names)
