"""Many resets in one call: a line a device, in waves, and nothing of one device's trouble to another."""

import json
import time
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from broker.auth.registry import Device
from broker.errors import StoreError
from broker.store.sqlite import SqliteStore, Write
from tests.broker.control_api.test_guard import is_vendors
from tests.broker.rig import PRIMARY, SECONDARY, Rig, connect, running
from tests.broker.test_rotation import is_closed_now

RESETS = "/_platform/devices/reset-secrets"
FLEET = [f"m{number}" for number in range(20)]
KNOWN = {"X-Auth-Token": "t0ken"}


async def lines(rig: Rig, **body: Any) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Return the devices' lines and the counts of an answer that came to its end."""
    sent = {"Content-Type": "application/json"}
    async with rig.http.post(RESETS, data=BytesIO(json.dumps(body).encode()), headers=sent) as answer:
        assert (answer.status, answer.content_type) == (200, "application/x-ndjson")
        told = [json.loads(line) async for line in answer.content]
    return told[:-1], told[-1]


async def refusal(rig: Rig, **body: Any) -> str:
    answer = await rig.call("POST", RESETS, body)
    assert is_vendors(answer, 400, "IOTDA.000006"), answer
    assert rig.records("reset") == []
    return str(answer.body["error_msg"])


async def test_each_device_gets_a_secret_of_its_own_and_a_line_in_the_order_asked(rig: Rig) -> None:
    await rig.provision(*FLEET)
    told, counts = await lines(rig, device_ids=FLEET[::-1])
    assert [one["device_id"] for one in told] == FLEET[::-1]
    assert {one["secret_type"] for one in told} == {"PRIMARY"}
    assert len({one["secret"] for one in told}) == len(FLEET)
    assert counts == {"count": 20, "reset": 20, "failed": 0}
    async with await rig.login(connect("m3", told[-4]["secret"])):
        pass
    assert await rig.refusal(connect("m3", PRIMARY)) == 4


async def test_one_call_is_one_request_in_the_journal(rig: Rig) -> None:
    await rig.provision(*FLEET)
    answer = await rig.http.post(RESETS, json={"device_ids": FLEET})
    await answer.read()
    assert {one["request_id"] for one in rig.records("reset")} == {answer.headers["x-request-id"]}


async def test_secrets_of_the_caller_go_into_the_slot_that_it_names(rig: Rig) -> None:
    await rig.provision("d2")
    resets = [{"device_id": "d1", "secret": "of-the-caller"}, {"device_id": "d2"}]
    told, _ = await lines(rig, resets=resets, secret_type="SECONDARY")
    assert told[0] == {"device_id": "d1", "secret_type": "SECONDARY", "secret": "of-the-caller"}
    assert len(told[1]["secret"]) == 32
    async with await rig.login(connect(secret="of-the-caller")):
        assert (await rig.sessions())["d1"]["slot"] == "secondary"
    assert [one["generated"] for one in rig.records("reset")] == [False, True]


async def test_bad_device_does_not_stop_the_others(rig: Rig) -> None:
    await rig.provision("d2")
    resets = [{"device_id": "nobody"}, {"device_id": "d1", "secret": "canary!"}, {"device_id": "d2"}]
    told, counts = await lines(rig, resets=resets)
    assert [one.get("error_code") for one in told] == ["IOTDA.014000", "IOTDA.000006", None]
    assert told[0]["error_msg"] == "The device does not exist. device 'nobody' does not exist"
    assert "canary" not in json.dumps(told)
    assert counts == {"count": 3, "reset": 1, "failed": 2}
    assert [one["device"] for one in rig.records("reset")] == ["d2"]


async def test_line_of_a_forced_reset_comes_when_the_session_is_gone(rig: Rig) -> None:
    await rig.provision(*FLEET)
    clients = {name: await rig.login(connect(name, SECONDARY)) for name in FLEET}
    body = json.dumps({"device_ids": FLEET, "force_disconnect": True, "pace": {"size": 1, "every": 0.001}})
    async with rig.http.post(RESETS, data=body, headers={"Content-Type": "application/json"}) as answer:
        async for line in answer.content:
            if "device_id" in (told := json.loads(line)):
                async with clients.pop(told["device_id"]) as client:
                    assert is_closed_now(client)
    assert clients == {}
    assert await rig.sessions() == {}
    assert {one["cut"] for one in rig.records("reset")} == {True}


async def test_without_force_the_sessions_live_on(rig: Rig) -> None:
    async with await rig.login():
        await lines(rig, device_ids=["d1"])
        assert (await rig.sessions())["d1"]["current"] is False


async def test_waves_begin_at_the_pace_that_was_asked_for(rig: Rig) -> None:
    await rig.provision(*FLEET)
    sent = time.monotonic()
    await lines(rig, device_ids=FLEET, pace={"size": 8, "every": 0.3})
    at = {one["device"]: one["t"] for one in rig.records("reset")}
    assert len(at) == len(FLEET)
    for number, device_id in enumerate(FLEET):
        assert at[device_id] >= sent + number // 8 * 0.3


async def test_caller_who_goes_away_stops_the_waves_to_come(rig: Rig) -> None:
    await rig.provision(*FLEET)
    body = {"device_ids": FLEET, "pace": {"size": 2, "every": 0.5}}
    answer = await rig.http.post(RESETS, json=body)
    told = [json.loads(await answer.content.readline()) for _ in range(2)]
    answer.close()
    assert [one["device_id"] for one in told] == FLEET[:2]
    await lines(rig, device_ids=["d1", *FLEET[-2:]], pace={"size": 1, "every": 0.4})  # a wave's time, and more
    assert [one["device"] for one in rig.records("reset")] == [*FLEET[:2], "d1", *FLEET[-2:]]
    assert (await rig.statistics())["internal_errors"] == 0


async def test_platform_that_stops_breaks_the_answer_off(tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as http:
        async with running(tmp_path, stop_grace_s=0.1) as rig:
            await rig.provision(*FLEET)
            url = f"http://127.0.0.1:{rig.platform.http_port}{RESETS}"
            answer = await http.post(url, json={"device_ids": FLEET, "pace": {"size": 2, "every": 5}})
            assert json.loads(await answer.content.readline())["device_id"] == "m0"
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, "device_ids or resets"),
        ({"device_ids": ["d1"], "resets": [{"device_id": "d1"}]}, "not both"),
        ({"device_ids": []}, "device_ids"),
        ({"device_ids": ["d1", "d2", "d1"]}, "'d1' is there twice"),
        ({"device_ids": [1]}, "device_ids.0"),
        ({"device_ids": ["d1"] * 30_001}, "at most 30000"),
        ({"resets": [{"device_id": "d1", "secret": 1}]}, "resets.0.secret"),
        ({"resets": [{"device_id": "d1", "secert": "canary-1"}]}, "resets.0.secert"),
        ({"device_ids": ["d1"], "secret": "canary-1"}, "secret"),
        ({"device_ids": ["d1"], "secret_type": "primary"}, "secret_type"),
        ({"device_ids": ["d1"], "force_disconnect": 1}, "force_disconnect"),
        ({"device_ids": ["d1"], "pace": {"size": 0, "every": 1}}, "pace.size"),
        ({"device_ids": ["d1"], "pace": {"size": 1, "every": 0}}, "pace.every"),
        ({"device_ids": ["d1"], "pace": {"size": 1}}, "pace.every"),
        ({"device_ids": ["d1", "d2", "d3"], "pace": {"size": 1, "every": 1801}}, "3600 s"),
    ],
)
async def test_plan_that_cannot_be_meant_is_refused_whole(rig: Rig, body: dict[str, Any], expected: str) -> None:
    said = await refusal(rig, **body)
    assert expected in said
    assert "canary" not in said


async def test_longest_pace_is_an_hour_from_the_first_wave_to_the_last(rig: Rig) -> None:
    told, _ = await lines(rig, device_ids=["d1"], pace={"size": 1, "every": 3600})
    assert len(told) == 1


async def test_30_000_devices_fit_into_a_body(rig: Rig) -> None:
    resets = [{"device_id": f"{number:0128}", "secret": "s" * 32} for number in range(30_000)]
    _, counts = await lines(rig, resets=resets)
    assert counts == {"count": 30_000, "reset": 0, "failed": 30_000}


async def test_secrets_are_not_told_to_who_addresses_the_platform_by_another_name(rig: Rig) -> None:
    answer = await rig.call("POST", RESETS, {"device_ids": ["d1"]}, {"Host": "rebound.example.org"})
    assert is_vendors(answer, 403, "IOTDA.000022")
    assert rig.records("reset") == []


async def test_known_caller_may_use_any_name(tmp_path: Path) -> None:
    async with running(tmp_path, token="t0ken") as rig:
        answer = await rig.call("POST", RESETS, {"device_ids": ["d1"]})
        assert is_vendors(answer, 401, "IOTDA.000002")
        headers = {**KNOWN, "Host": "platform.example.org"}
        async with rig.http.post(RESETS, json={"device_ids": ["d1"]}, headers=headers) as known:
            assert known.status == 200


async def test_wave_of_resets_needs_few_syncs_of_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    commit = SqliteStore._commit

    def counted(store: SqliteStore, writes: list[Write]) -> Sequence[list[Device] | StoreError]:
        sizes.append(len(writes))
        return commit(store, writes)

    monkeypatch.setattr(SqliteStore, "_commit", counted)
    names = [f"n{number}" for number in range(400)]
    async with running(tmp_path, db=tmp_path / "k.db") as rig:
        await rig.provision(*names)
        sizes.clear()
        await lines(rig, device_ids=names)
    assert len(sizes) < 40, "many resets to a commit"
