"""Asynchronous commands go to NB-IoT devices that can be reached, one after the other, and their answers come back."""

import json
from typing import Any

from aiocoap import Code

from tests.broker.lwm2m.nb_device import NbDevice, nb_device
from tests.broker.rig import FakeClock, Rig

COMMANDS = "/v5/iot/p/devices/m1/async-commands"


async def create(rig: Rig, number: int, **more: object) -> str:
    body = {"service_id": "s", "command_name": "c", "paras": {"number": number}, **more}
    answer = await rig.call("POST", COMMANDS, body)
    assert answer.status == 201, answer
    return str(answer.body["command_id"])


async def status(rig: Rig, command_id: str) -> Any:
    return (await rig.call("GET", f"{COMMANDS}/{command_id}")).body


async def written(device: NbDevice, count: int) -> list[dict[str, Any]]:
    """Wait for so many writes of commands; return what they say."""
    found = await device.is_asked(count, Code.PUT)
    assert all(one.opt.uri_path == ("19", "1", "0") for one in found)
    return [json.loads(one.payload) for one in found]


def answer(mid: int, **more: object) -> bytes:
    return json.dumps({"msgType": "deviceRsp", "mid": mid, "errcode": 0, **more}).encode()


async def test_commands_wait_for_the_registration_and_go_in_their_order_once(rig: Rig) -> None:
    ids = [await create(rig, number) for number in range(3)]
    assert (await status(rig, ids[0]))["status"] == "PENDING"
    async with nb_device(rig.platform.more_ports["coaps"], "m1") as device:
        assert await device.handshake()
        await device.register("m1")
        bodies = await written(device, 3)
        assert [one["paras"]["number"] for one in bodies] == [0, 1, 2]
        assert {(one["msgType"], one["serviceId"], one["cmd"]) for one in bodies} == {("cloudReq", "s", "c")}
        await rig.record("async_command", command_id=ids[2], status="DELIVERED")
        device.report(
            json.dumps({"msgType": "deviceRsp", "mid": bodies[0]["mid"], "errcode": 0, "body": {"a": 1}}).encode(), 1
        )
        device.report(json.dumps({"msgType": "deviceRsp", "mid": bodies[1]["mid"], "errcode": 1}).encode(), 2)
        await rig.record("async_command", command_id=ids[1], status="FAILED")
    shown = await status(rig, ids[0])
    assert (shown["status"], shown["result"]) == ("SUCCESSFUL", {"a": 1})
    assert len(device.asked) == 4


async def test_command_to_a_device_that_listens_goes_at_once(rig: Rig) -> None:
    async with nb_device(rig.platform.more_ports["coap"]) as device:
        await device.register("m1")
        command_id = await create(rig, 7)
        (body,) = await written(device, 1)
        assert body["paras"] == {"number": 7}
        await rig.record("async_command", command_id=command_id, status="DELIVERED")


async def test_sleeping_device_gets_its_command_when_it_wakes_up(rig: Rig, clock: FakeClock) -> None:
    async with nb_device(rig.platform.more_ports["coap"]) as device:
        location = await device.register("m1", "&lt=86400&b=UQ")
        assert (await device.request(Code.POST, location)).code is Code.CHANGED
        clock.advance(94)
        command_id = await create(rig, 7)
        assert (await status(rig, command_id))["status"] == "PENDING"
        assert (await device.request(Code.POST, location)).code is Code.CHANGED
        (body,) = await written(device, 1)
        assert body["paras"] == {"number": 7}


async def test_answer_to_nothing_and_junk_change_nothing(rig: Rig) -> None:
    async with nb_device(rig.platform.more_ports["coap"]) as device:
        await device.register("m1")
        command_id = await create(rig, 7)
        (body,) = await written(device, 1)
        await rig.record("async_command", command_id=command_id, status="DELIVERED")
        for number, junk in enumerate((b"[1]", b"\xff", b'{"msgType": 1}', b'{"msgType": "deviceRsp"}', answer(99)), 1):
            device.report(junk, number)
        device.report(b'{"seq": 5}', 9)
        await rig.record("uplink", device="m1", first=5)
        assert (await status(rig, command_id))["status"] == "DELIVERED"
        device.report(answer(body["mid"]), 10)
        await rig.record("async_command", command_id=command_id, status="SUCCESSFUL")


async def test_command_that_the_device_refuses_has_failed(rig: Rig) -> None:
    async with nb_device(rig.platform.more_ports["coap"]) as device:
        await device.register("m1")
        device.answers[Code.PUT] = Code.METHOD_NOT_ALLOWED
        command_id = await create(rig, 7)
        await rig.record("async_command", command_id=command_id, status="FAILED")
