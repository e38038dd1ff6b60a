"""A strict platform ends a DTLS session with the secret that it was made with; in the clear there is nothing to end."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiocoap import Code

from tests.broker.lwm2m.nb_device import KEY, NEW_KEY, NbDevice, nb_device
from tests.broker.rig import Rig, running

COMMANDS = "/v5/iot/p/devices/m1/async-commands"


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running(tmp_path, coap_port=0, coaps_port=0, strict_dtls=True) as rig:
        await rig.provision("m1", "m2", protocol="coap", primary=KEY, secondary=None)
        yield rig


def secure(rig: Rig) -> int:
    return rig.platform.more_ports["coaps"]


async def registrations(rig: Rig) -> list[str]:
    listed = (await rig.call("GET", "/_platform/registrations")).body["registrations"]
    return [one["device_id"] for one in listed]


async def is_ignored(rig: Rig, device: NbDevice, location: str) -> bool:
    """Update a registration; who knocks after that is served, so that an answer would be here by then."""
    received = device.received
    device.ask(Code.POST, location)
    async with nb_device(secure(rig), "m2") as other:
        assert await other.handshake()
    return device.received == received


@pytest.mark.parametrize("forced", [False, True], ids=["", "forced"])
async def test_session_is_over_when_the_reset_is_answered_and_the_device_hears_nothing(rig: Rig, forced: bool) -> None:
    async with nb_device(secure(rig), "m1") as device, nb_device(secure(rig), "m2") as other:
        assert await device.handshake()
        location = await device.register("m1")
        assert await other.handshake()
        await other.register("m2")
        received = device.received
        assert (await rig.reset("m1", secret=NEW_KEY, force_disconnect=forced)).status == 200
        assert await registrations(rig) == ["m2"]
        assert await is_ignored(rig, device, location)
        assert device.received == received
    (reset,) = rig.records("reset")
    assert (reset["forced"], reset["cut"]) == (forced, True)
    assert "warning" not in reset
    kinds = [one["kind"] for one in rig.records() if one.get("reason") == "reset"]
    assert kinds == ["unregistered", "session_ended"]


async def test_old_key_fails_at_the_next_handshake_and_the_new_one_gets_in_from_the_same_port(rig: Rig) -> None:
    async with nb_device(secure(rig), "m1") as device:
        assert await device.handshake()
        await device.register("m1")
        await rig.reset("m1", secret=NEW_KEY)
        device.begin_session("m1")
        assert not await device.handshake()
        device.begin_session("m1", NEW_KEY)
        assert await device.handshake()
        await device.register("m1")
    assert [one["version"] for one in rig.records("registered")] == [1, 2]
    assert [one["reason"] for one in rig.records("handshake_failed")] == ["wrong_key"]


async def test_session_on_which_nobody_is_registered_is_over_too_and_so_is_each_of_several(rig: Rig) -> None:
    async with nb_device(secure(rig), "m1") as first, nb_device(secure(rig), "m1") as second:
        assert await first.handshake()
        assert await second.handshake()
        await rig.reset("m1", secret=NEW_KEY)
        assert (await is_ignored(rig, first, "rd/x"), await is_ignored(rig, second, "rd/x")) == (True, True)
    assert rig.records("reset")[0]["cut"] is True
    assert rig.records("unregistered") == []


async def test_session_that_ended_before_is_not_cut(rig: Rig) -> None:
    async with nb_device(secure(rig), "m1") as device:
        assert await device.handshake()
        assert device.session is not None
        device.session.close()
        device._flush()
        await rig.record("session_ended", endpoint="m1", reason="closed")
        await rig.reset("m1", secret=NEW_KEY, force_disconnect=True)
    (reset,) = rig.records("reset")
    assert reset["cut"] is False
    assert "warning" not in reset


async def test_registration_in_the_clear_rests_on_no_secret(rig: Rig) -> None:
    async with nb_device(rig.platform.more_ports["coap"]) as device:
        location = await device.register("m1")
        await rig.reset("m1", secret=NEW_KEY, force_disconnect=True)
        assert (await device.request(Code.POST, location)).code is Code.CHANGED
    assert rig.records("reset")[0]["cut"] is False


async def test_secondary_secret_ends_nothing(rig: Rig) -> None:
    async with nb_device(secure(rig), "m1") as device:
        assert await device.handshake()
        location = await device.register("m1")
        await rig.reset("m1", secret=NEW_KEY, secret_type="SECONDARY", force_disconnect=True)
        assert (await device.request(Code.POST, location)).code is Code.CHANGED
    (reset,) = rig.records("reset")
    assert (reset["cut"], "never used" in reset["warning"]) == (False, True)


async def test_command_that_was_under_way_comes_in_the_next_session(rig: Rig) -> None:
    async with nb_device(secure(rig), "m1") as device:
        assert await device.handshake()
        await device.register("m1")
        device.asleep = True
        command_id = (await rig.call("POST", COMMANDS, {"paras": {}})).body["command_id"]
        await rig.reset("m1", secret=NEW_KEY)
        assert await status(rig, command_id) == "PENDING"
        device.asleep = False
        device.begin_session("m1", NEW_KEY)
        assert await device.handshake()
        await device.register("m1")
        await rig.record("async_command", command_id=command_id, status="DELIVERED")


async def status(rig: Rig, command_id: str) -> Any:
    return (await rig.call("GET", f"{COMMANDS}/{command_id}")).body["status"]
