"""Devices that sleep while the platform believes them awake: what they slept through, they get when they are heard.

Time stands still until it is told to pass, and every ping lets the platform look at its timers.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from aiocoap import Code

from tests.broker.lwm2m.nb_device import KEY, NbDevice, nb_device
from tests.broker.rig import FakeClock, Rig, running

COMMANDS = "/v5/iot/p/devices/m1/async-commands"
SLEEPY, AWAKE = "&lt=86400&b=UQ", "&lt=86400&b=U"
STEP_S = 3


def plain(rig: Rig) -> int:
    return rig.platform.more_ports["coap"]


async def create(rig: Rig, number: int, **more: object) -> str:
    answer = await rig.call("POST", COMMANDS, {"paras": {"number": number}, **more})
    assert answer.status == 201, answer
    return str(answer.body["command_id"])


async def status(rig: Rig, command_id: str) -> str:
    return str((await rig.call("GET", f"{COMMANDS}/{command_id}")).body["status"])


async def is_missed(device: NbDevice, count: int) -> None:
    """Wait until the device has slept through so many requests."""
    while len(device.missed) < count:
        await device.next_news()


async def given_up(rig: Rig, device: NbDevice, clock: FakeClock, command_id: str) -> str:
    """Let time pass until a command is on its way no longer; return what has become of it."""
    while (found := await status(rig, command_id)) == "SENT":
        clock.advance(STEP_S)
        await device.ping()
    return found


async def show(device: NbDevice, location: str) -> None:
    """Update the registration, and wait until whatever the platform says to that at once is here as well."""
    assert (await device.request(Code.POST, location)).code is Code.CHANGED
    await device.ping()


def written(device: NbDevice) -> list[int]:
    return [json.loads(one.payload)["paras"]["number"] for one in device.asked if one.code is Code.PUT]


async def test_command_that_a_device_slept_through_comes_the_moment_it_is_heard(rig: Rig, clock: FakeClock) -> None:
    async with nb_device(plain(rig)) as device:
        location = await device.register("m1", SLEEPY)
        device.asleep = True
        command_id = await create(rig, 1)
        while len(device.missed) < 4:  # the next copy is due in 16 s or more
            clock.advance(STEP_S)
            await device.ping()
        device.asleep = False
        await show(device, location)
        assert written(device) == [1]
        assert {one.mid for one in device.missed} == {device.asked[-1].mid}, "it is the same message all the time"
        await rig.record("async_command", command_id=command_id, status="DELIVERED")


async def test_report_wakes_what_waits_as_an_update_does(rig: Rig, clock: FakeClock) -> None:
    async with nb_device(plain(rig)) as device:
        await device.register("m1", SLEEPY)
        device.asleep = True
        await create(rig, 1)
        while len(device.missed) < 4:
            clock.advance(STEP_S)
            await device.ping()
        device.asleep = False
        device.report(b'{"seq": 1}', 1)
        await rig.record("uplink", device="m1", first=1)
        await device.ping()
        assert written(device) == [1]


async def test_command_that_is_given_up_waits_for_its_device_and_goes_before_the_younger_ones(
    rig: Rig, clock: FakeClock
) -> None:
    async with nb_device(plain(rig)) as device:
        location = await device.register("m1", SLEEPY)
        device.asleep = True
        first = await create(rig, 1)
        clock.advance(30)
        await show(device, location)
        assert await given_up(rig, device, clock, first) == "PENDING"
        missed = len(device.missed)
        second = await create(rig, 2)
        await device.ping()
        assert await status(rig, second) == "PENDING", "it was heard less than 93 s ago, and sleeps all the same"
        assert len(device.missed) == missed
        device.asleep = False
        await show(device, location)
        await rig.record("async_command", command_id=second, status="DELIVERED")
        assert written(device) == [1, 2]
    told = [one["status"] for one in rig.records("async_command") if one["command_id"] == first]
    assert told == ["PENDING", "SENT", "PENDING", "SENT", "DELIVERED"]


async def test_command_that_is_rejected_waits_until_its_device_is_heard_and_is_not_sent_again_at_once(rig: Rig) -> None:
    """A device that has lost its memory rejects everything until it registers anew."""
    async with nb_device(plain(rig)) as device:
        await device.register("m1", SLEEPY)
        device.asleep = True
        command_id = await create(rig, 1)
        await is_missed(device, 1)
        device.reject(device.missed[0])
        await device.ping()
        assert await status(rig, command_id) == "PENDING"
        assert len(device.missed) == 1
        device.asleep = False
        await device.register("m1", SLEEPY)
        await rig.record("async_command", command_id=command_id, status="DELIVERED")


async def test_device_that_rejects_the_wish_for_its_reports_is_not_asked_again(rig: Rig) -> None:
    async with nb_device(plain(rig)) as device:
        device.asleep = True
        answer = await device.request(Code.POST, "rd", f"ep=m1{SLEEPY}")
        await is_missed(device, 1)
        device.reject(device.missed[0])
        await rig.record("unobserved", device="m1")
        device.asleep = False
        await show(device, "/".join(answer.opt.location_path))
        assert device.asked == []


async def test_command_to_a_device_that_never_sleeps_times_out(rig: Rig, clock: FakeClock) -> None:
    async with nb_device(plain(rig)) as device:
        location = await device.register("m1", AWAKE)
        device.asleep = True
        first, second = await create(rig, 1), await create(rig, 2)
        assert await given_up(rig, device, clock, first) == "TIMEOUT"
        device.asleep = False
        await show(device, location)
        await rig.record("async_command", command_id=second, status="DELIVERED")
        assert written(device) == [2]


async def test_command_that_is_given_up_still_expires(rig: Rig, clock: FakeClock) -> None:
    async with nb_device(plain(rig)) as device:
        location = await device.register("m1", SLEEPY)
        device.asleep = True
        command_id = await create(rig, 1, expire_time=150)
        assert await given_up(rig, device, clock, command_id) == "PENDING"
        clock.advance(150)
        assert await status(rig, command_id) == "EXPIRED"
        device.asleep = False
        await show(device, location)
        assert written(device) == []


async def test_immediate_command_that_is_given_up_has_the_rest_of_its_time(rig: Rig, clock: FakeClock) -> None:
    async with nb_device(plain(rig)) as device:
        location = await device.register("m1", SLEEPY)
        device.asleep = True
        command_id = await create(rig, 1, send_strategy="immediately")
        for _ in range(40):
            clock.advance(STEP_S)
            await device.ping()
        device.asleep = False
        assert await status(rig, command_id) == "SENT"
        await show(device, location)
        await rig.record("async_command", command_id=command_id, status="DELIVERED")
        assert written(device) == [1]


async def test_device_that_is_silent_for_days_is_not_taken_for_awake(tmp_path: Path, clock: FakeClock) -> None:
    async with (
        running(tmp_path, clock, coap_port=0, sweep_s=0.01) as rig,
        nb_device(plain(rig)) as device,
        nb_device(plain(rig)) as other,
    ):
        await rig.provision("m1", "m2", protocol="coap", primary=KEY, secondary=None)
        location = await device.register("m1", "&lt=2000000&b=UQ")
        await other.register("m2", "&lt=60")
        clock.advance(50 * 3600)
        await rig.record("unregistered", device="m2", reason="expired")  # by then the silence was noticed too
        assert await status(rig, await create(rig, 1)) == "PENDING"
        await show(device, location)
        assert written(device) == [1]


@pytest.mark.parametrize("mode", [SLEEPY, AWAKE], ids=["queue mode", "always awake"])
async def test_device_that_registers_anew_gets_what_was_under_way_once(rig: Rig, mode: str) -> None:
    async with nb_device(plain(rig)) as device:
        await device.register("m1", mode)
        device.asleep = True
        ids = [await create(rig, 1), await create(rig, 2)]
        await is_missed(device, 1)
        device.asleep = False
        await device.register("m1", mode)
        await rig.record("async_command", command_id=ids[1], status="DELIVERED")
        assert written(device) == [1, 2]


async def test_command_follows_its_device_to_another_address(rig: Rig) -> None:
    async with nb_device(plain(rig)) as before, nb_device(plain(rig)) as after:
        location = await before.register("m1", AWAKE)
        before.asleep = True
        command_id = await create(rig, 1)
        await is_missed(before, 1)
        assert (await after.request(Code.POST, location)).code is Code.CHANGED
        await rig.record("async_command", command_id=command_id, status="DELIVERED")
        assert written(after) == [1]


async def test_command_waits_for_the_next_registration_when_one_ends(rig: Rig) -> None:
    async with nb_device(plain(rig)) as device:
        location = await device.register("m1", AWAKE)
        device.asleep = True
        command_id = await create(rig, 1)
        await is_missed(device, 1)
        assert (await device.request(Code.DELETE, location)).code is Code.DELETED
        assert await status(rig, command_id) == "PENDING"
        device.asleep = False
        await device.register("m1", AWAKE)
        await rig.record("async_command", command_id=command_id, status="DELIVERED")


async def test_command_is_not_written_into_a_session_that_is_over(rig: Rig) -> None:
    async with nb_device(rig.platform.more_ports["coaps"], "m1") as device:
        assert await device.handshake()
        location = await device.register("m1", SLEEPY)
        device.asleep = True
        first = await create(rig, 1)
        await is_missed(device, 1)
        device.begin_session("m1")
        assert await device.handshake()
        await rig.record("session_ended", endpoint="m1", reason="replaced")
        second = await create(rig, 2)
        assert [await status(rig, one) for one in (first, second)] == ["PENDING", "PENDING"]
        device.asleep = False
        await show(device, location)
        await rig.record("async_command", command_id=second, status="DELIVERED")
        assert written(device) == [1, 2]


async def test_who_answers_a_command_that_was_given_up_has_got_it(rig: Rig, clock: FakeClock) -> None:
    async with nb_device(plain(rig)) as device:
        await device.register("m1", SLEEPY)
        device.asleep = True
        command_id = await create(rig, 1)
        assert await given_up(rig, device, clock, command_id) == "PENDING"
        device.asleep = False
        answer: dict[str, Any] = {"msgType": "deviceRsp", "mid": json.loads(device.missed[0].payload)["mid"]}
        device.report(json.dumps({**answer, "errcode": 0}).encode(), 1)
        await rig.record("async_command", command_id=command_id, status="SUCCESSFUL")
        await device.ping()
        assert written(device) == []


async def test_device_that_slept_through_the_wish_for_its_reports_is_asked_again(rig: Rig, clock: FakeClock) -> None:
    async with nb_device(plain(rig)) as device:
        device.asleep = True
        answer = await device.request(Code.POST, "rd", f"ep=m1{SLEEPY}")
        command_id = await create(rig, 1)
        while not rig.records("unobserved"):
            clock.advance(STEP_S)
            await device.ping()
        assert await status(rig, command_id) == "PENDING"
        device.asleep = False
        assert (await device.request(Code.POST, "/".join(answer.opt.location_path))).code is Code.CHANGED
        await rig.record("async_command", command_id=command_id, status="DELIVERED")
        device.report(b'{"seq": 1}', 1)
        await rig.record("uplink", device="m1", first=1)
