"""Asynchronous commands over HTTP, as the vendor documents them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from broker.async_commands import MAX_WAITING
from tests.broker.rig import Answer, FakeClock, Rig, running

QUEUE = "/v5/iot/p/devices/nb/async-commands"
HISTORY = "/v5/iot/p/devices/nb/async-commands-history"
DAY_S = 86_400
SECRET = {"secret": "open-sesame"}


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running(tmp_path, FakeClock()) as rig:
        await rig.provision("d1")
        await rig.provision("nb", protocol="coap", primary="0123456789abcdef", secondary=None)
        yield rig


async def create(rig: Rig, **fields: Any) -> Answer:
    return await rig.call("POST", QUEUE, {"paras": {}, **fields})


async def made(rig: Rig, **fields: Any) -> dict[str, Any]:
    answer = await create(rig, **fields)
    assert answer.status == 201, answer
    return dict(answer.body)


async def advance(rig: Rig, seconds: float) -> None:
    assert (await rig.call("POST", "/_platform/clock", {"advance": seconds})).status == 200


def ids(answer: Answer) -> list[str]:
    assert answer.status == 200, answer
    return [one["command_id"] for one in answer.body["commands"]]


async def test_command_is_answered_whole_and_shown(rig: Rig) -> None:
    command = await made(rig, service_id="svc", command_name="set", paras=SECRET, expire_time=60)
    assert command == {
        "device_id": "nb",
        "command_id": command["command_id"],
        "service_id": "svc",
        "command_name": "set",
        "paras": SECRET,
        "expire_time": 60,
        "send_strategy": "delay",
        "status": "PENDING",
        "created_time": "20261121T193000Z",
    }
    shown = await rig.call("GET", f"{QUEUE}/{command['command_id']}")
    assert (shown.status, shown.body) == (200, command)
    assert rig.records("async_command")[0]["command_id"] == command["command_id"]
    assert "open-sesame" not in str(rig.records())


async def test_defaults_are_the_vendors(rig: Rig) -> None:
    for fields in ({}, {"expire_time": 0}, {"expire_time": None, "send_strategy": None}):
        command = await made(rig, **fields)
        assert (command["expire_time"], command["send_strategy"]) == (DAY_S, "delay")
        assert command.keys().isdisjoint({"service_id", "command_name", "sent_time", "result"})
    assert (await made(rig, expire_time=2 * DAY_S))["expire_time"] == 2 * DAY_S


async def test_immediate_command_has_been_sent_when_it_is_made(rig: Rig) -> None:
    command = await made(rig, send_strategy="immediately", expire_time=60, paras="0a0b")
    assert (command["status"], command["sent_time"]) == ("SENT", command["created_time"])
    assert command["paras"] == "0a0b"
    assert "expire_time" not in command
    await advance(rig, 3600)
    assert (await rig.call("GET", f"{QUEUE}/{command['command_id']}")).body["status"] == "TIMEOUT"


async def test_expired_command_moves_to_the_history_by_itself(rig: Rig) -> None:
    command = await made(rig, command_name="set")
    kept = await made(rig, expire_time=2 * DAY_S)
    await advance(rig, DAY_S)
    record = await rig.record("async_command", status="EXPIRED")
    assert record["command_id"] == command["command_id"]
    assert ids(await rig.call("GET", QUEUE)) == [kept["command_id"]]
    (ended,) = (await rig.call("GET", HISTORY)).body["commands"]
    assert (ended["status"], ended["command_name"]) == ("EXPIRED", "set")


async def test_lists_are_filtered_paged_and_counted_without_what_the_commands_say(rig: Rig) -> None:
    names = [(await made(rig, command_name=f"c{number}", paras=SECRET))["command_id"] for number in range(3)]
    await advance(rig, 60)
    names += [(await made(rig, command_name="late"))["command_id"]]
    page = await rig.call("GET", f"{QUEUE}?limit=2")
    assert ids(page) == [names[3], names[2]]
    assert page.body["page"] == {"count": 4, "marker": names[2]}
    assert all("paras" not in one for one in page.body["commands"])
    for query, found in [
        (f"marker={names[2]}&offset=1", [names[0]]),
        ("command_name=late", [names[3]]),
        ("status=PENDING&limit=1", [names[3]]),
        ("status=SENT", []),
        ("end_time=20261121T193059Z", names[2::-1]),
        ("start_time=20261121T193100Z", [names[3]]),
    ]:
        assert ids(await rig.call("GET", f"{QUEUE}?{query}")) == found, query
    assert (await rig.call("GET", f"{QUEUE}?status=SENT")).body == {"commands": [], "page": {"count": 0}}
    await advance(rig, DAY_S - 60)
    history = await rig.call("GET", f"{HISTORY}?limit=2")
    assert ids(history) == [names[2], names[1]]
    assert history.body["page"] == {"marker": names[1]}
    for query, count in [("", 3), ("?command_name=c1", 1), ("?status=EXPIRED", 3), ("?status=FAILED", 0)]:
        counted = await rig.call("POST", f"{HISTORY}/count{query}")
        assert (counted.status, counted.body) == (200, {"count": count})


async def test_deleted_devices_commands_are_gone_though_it_comes_again(rig: Rig) -> None:
    command = await made(rig)
    await rig.call("DELETE", "/v5/iot/p/devices/nb")
    assert (await rig.call("GET", QUEUE)).status == 404
    await rig.provision("nb", protocol="coap", primary="0123456789abcdef", secondary=None)
    assert ids(await rig.call("GET", QUEUE)) == []
    assert (await rig.call("GET", f"{QUEUE}/{command['command_id']}")).status == 404


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"expire_time": 2 * DAY_S + 1}, "expire_time: "),
        ({"expire_time": -1}, "expire_time: "),
        ({"expire_time": "60"}, "expire_time: "),
        ({"send_strategy": "later"}, "send_strategy: "),
        ({"service_id": "x" * 65}, "service_id: "),
        ({"command_name": "x" * 129}, "command_name: "),
        ({"paras": {"p": "x" * (32 << 10)}}, "paras: "),
        ({"paras": {"p": [1 << 70]}}, "paras: "),
        ({"expire_time": 0.5}, "expire_time: "),
    ],
)
async def test_command_that_cannot_be_is_refused(rig: Rig, fields: dict[str, Any], where: str) -> None:
    answer = await create(rig, **fields)
    assert (answer.status, answer.body["error_code"]) == (400, "IOTDA.000006")
    assert answer.body["error_msg"].startswith(f"Invalid input data. {where}")
    assert ids(await rig.call("GET", QUEUE)) == []


async def test_command_without_paras_is_refused(rig: Rig) -> None:
    assert (await rig.call("POST", QUEUE, {})).status == 400


async def test_mqtt_device_has_no_asynchronous_commands(rig: Rig) -> None:
    answer = await rig.call("POST", "/v5/iot/p/devices/d1/async-commands", {"paras": {}})
    assert (answer.status, answer.body["error_code"]) == (400, "IOTDA.000006")
    assert "asynchronous commands are for LwM2M devices" in answer.body["error_msg"]


async def test_unknown_device_and_unknown_command_are_not_found(rig: Rig) -> None:
    nobody = "/v5/iot/p/devices/nobody/async-commands"
    for method, path in [("POST", nobody), ("GET", nobody), ("GET", f"{nobody}-history"), ("GET", f"{nobody}/c")]:
        answer = await rig.call(method, path, {"paras": {}} if method == "POST" else None)
        assert (answer.status, answer.body["error_code"]) == (404, "IOTDA.014000")
    answer = await rig.call("GET", f"{QUEUE}/c")
    assert (answer.status, answer.body["error_code"]) == (404, "IOTDA.000006")
    assert "command 'c' does not exist" in answer.body["error_msg"]


async def test_device_has_so_many_pending_commands_and_no_more(rig: Rig) -> None:
    for _ in range(MAX_WAITING):
        await made(rig)
    answer = await create(rig)
    assert (answer.status, answer.body["error_code"]) == (400, "IOTDA.000006")
    assert (await rig.call("GET", QUEUE)).body["page"]["count"] == MAX_WAITING


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=0", "IOTDA.000017"),
        ("start_time=today", "IOTDA.000009"),
        ("start_time=20261121T193000Z&end_time=20261121T192959Z", "IOTDA.000010"),
        ("status=LOST", "IOTDA.000006"),
    ],
)
async def test_list_that_cannot_be_is_refused(rig: Rig, query: str, code: str) -> None:
    for path in (QUEUE, HISTORY):
        answer = await rig.call("GET", f"{path}?{query}")
        assert (answer.status, answer.body["error_code"]) == (400, code)
