"""Create, show, update and delete devices as the vendor documents it."""

import re
from pathlib import Path
from typing import Any

import pytest

from broker.auth.registry import Secret
from tests.broker.control_api.test_guard import is_vendors
from tests.broker.rig import PRIMARY, SECONDARY, FakeClock, Rig, connect, running

DEVICES = "/v5/iot/any-project/devices"
D1 = f"{DEVICES}/d1"
WANTED = {"product_id": "p", "node_id": "n"}


async def create(rig: Rig, **fields: Any) -> dict[str, Any]:
    answer = await rig.call("POST", DEVICES, {**WANTED, **fields})
    assert answer.status == 201, answer
    assert answer.headers["x-request-id"]
    return dict(answer.body)


async def show(rig: Rig, device_id: str = "d1") -> dict[str, Any]:
    answer = await rig.call("GET", f"{DEVICES}/{device_id}")
    assert answer.status == 200, answer
    return dict(answer.body)


async def test_created_device_is_answered_whole(tmp_path: Path) -> None:
    async with running(tmp_path, FakeClock()) as rig:
        created = await create(
            rig,
            device_name="meter",
            description="water meter",
            auth_info={"auth_type": "SECRET", "secret": PRIMARY, "secure_access": True, "timeout": 300},
        )
    assert created == {
        "device_id": "p_n",
        "node_id": "n",
        "gateway_id": "p_n",
        "device_name": "meter",
        "node_type": "GATEWAY",
        "description": "water meter",
        "product_id": "p",
        "status": "INACTIVE",
        "tags": [],
        "create_time": "20261121T193000Z",
        "auth_info": {"auth_type": "SECRET", "secret": PRIMARY, "secure_access": True, "timeout": 300},
    }


async def test_secret_is_made_when_none_is_given_and_lets_the_device_in(rig: Rig) -> None:
    for body in ({}, {"auth_info": None}, {"auth_info": {"secret": None}}):
        secret = (await create(rig, **body))["auth_info"]["secret"]
        assert re.fullmatch("[0-9a-f]{32}", secret)
        async with await rig.login(connect("p_n", secret)):
            assert (await show(rig, "p_n"))["status"] == "ONLINE"
        await rig.call("DELETE", f"{DEVICES}/p_n")


async def test_device_id_may_be_chosen(rig: Rig) -> None:
    assert (await create(rig, device_id="own-id"))["device_id"] == "own-id"
    assert (await show(rig, "own-id"))["node_id"] == "n"


async def test_created_device_outlives_the_platform(tmp_path: Path) -> None:
    async with running(tmp_path, db=tmp_path / "k.db") as rig:
        await create(rig, device_name="meter", auth_info={"secret": PRIMARY})
        before = await show(rig, "p_n")
    async with running(tmp_path, db=tmp_path / "k.db") as rig:
        assert await show(rig, "p_n") == before


async def test_device_that_was_in_is_offline_and_not_inactive_after_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path, FakeClock(), db=tmp_path / "k.db") as rig:
        await rig.provision("d1")
        assert "active_time" not in await show(rig)
        async with await rig.login():
            pass
    async with running(tmp_path, db=tmp_path / "k.db") as rig:
        shown = await show(rig)
    assert (shown["status"], shown["active_time"]) == ("OFFLINE", "2026-11-21T19:30:00.000Z")


async def test_journal_says_what_was_created_by_fingerprints_alone(rig: Rig) -> None:
    await create(rig, auth_info={"secret": "canary-secret"})
    (record,) = rig.records("created")
    assert record["device"] == "p_n"
    assert record["primary"] == {"version": 1, "fingerprint": Secret("canary-secret", 1).fingerprint}
    assert record["secondary"] is None
    assert "canary" not in str(rig.records())


async def test_device_that_exists_is_400(rig: Rig) -> None:
    await create(rig, auth_info={"secret": PRIMARY})
    for same in ({}, {"device_id": "other"}, {"device_id": "p_n", "node_id": "m"}):
        answer = await rig.call("POST", DEVICES, {**WANTED, **same})
        assert is_vendors(answer, 400, "IOTDA.014031")
        assert answer.body["error_msg"].startswith("Invalid input. The device already exists.")
    assert (await show(rig, "p_n"))["auth_info"]["secret"] == PRIMARY


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("node_id", {"node_id": None}),
        ("node_id", {"node_id": "x" * 65}),
        ("node_id", {"node_id": "n n"}),
        ("product_id", {"product_id": ""}),
        ("product_id", {"product_id": "x" * 37}),
        ("device_id", {"device_id": "d/1"}),
        ("device_id", {"device_id": "x" * 129}),
        ("device_name", {"device_name": "<meter>"}),
        ("device_name", {"device_name": 7}),
        ("description", {"description": "x" * 2049}),
        ("gateway_id", {"gateway_id": "d1"}),
        ("auth_info", {"auth_info": "SECRET"}),
        ("auth_info.auth_type", {"auth_info": {"auth_type": "CERTIFICATES"}}),
        ("auth_info.fingerprint", {"auth_info": {"fingerprint": "a" * 40}}),
        ("auth_info.secret", {"auth_info": {"secret": "canary!!"}}),
        ("auth_info.secure_access", {"auth_info": {"secure_access": "yes"}}),
        ("auth_info.timeout", {"auth_info": {"timeout": -1}}),
    ],
)
async def test_unfit_field_is_named_and_nothing_created(rig: Rig, field: str, body: dict[str, object]) -> None:
    answer = await rig.call("POST", DEVICES, {**WANTED, **body})
    assert is_vendors(answer, 400, "IOTDA.000006")
    assert field in answer.body["error_msg"]
    assert "canary" not in answer.body["error_msg"]
    assert rig.records("created") == []


async def test_body_that_is_no_json_is_400(rig: Rig) -> None:
    for method, path in (("POST", DEVICES), ("PUT", D1)):
        assert is_vendors(await rig.call(method, path, b"{"), 400, "IOTDA.000008")


async def test_both_secrets_are_shown_in_clear_and_the_timeout_is_not(rig: Rig) -> None:
    assert (await show(rig))["auth_info"] == {
        "auth_type": "SECRET",
        "secret": PRIMARY,
        "secondary_secret": SECONDARY,
        "secure_access": False,
    }


async def test_status_and_its_times_follow_the_device(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock) as rig:
        await rig.provision("d1")
        assert (await show(rig))["status"] == "INACTIVE"
        clock.advance(0.25)
        async with await rig.login():
            online = await show(rig)
            clock.advance(10)
        await rig.record("detached", device="d1")
        offline = await show(rig)
        await rig.call("POST", f"{D1}/freeze")
        assert (await show(rig))["status"] == "FROZEN"
    entered, left = "2026-11-21T19:30:00.250Z", "2026-11-21T19:30:10.250Z"
    times = ("status", "active_time", "connection_status_update_time")
    assert [online[key] for key in times] == ["ONLINE", entered, entered]
    assert [offline[key] for key in times] == ["OFFLINE", entered, left]


async def test_device_that_was_deleted_and_made_again_was_never_in(rig: Rig) -> None:
    async with await rig.login():
        assert (await rig.call("DELETE", D1)).status == 204
    await create(rig, device_id="d1")
    shown = await show(rig)
    assert shown["status"] == "INACTIVE"
    assert "connection_status_update_time" not in shown


async def test_unknown_device_is_404(rig: Rig) -> None:
    for method in ("GET", "PUT", "DELETE"):
        assert is_vendors(await rig.call(method, f"{DEVICES}/nobody"), 404, "IOTDA.014000")


async def test_secrets_are_not_shown_to_a_page_whose_name_was_bound_to_our_address(rig: Rig) -> None:
    answer = await rig.call("GET", D1, headers={"Host": "rebound.example.org"})
    assert is_vendors(answer, 403, "IOTDA.000022")


async def test_update_changes_what_it_names_and_answers_the_device(rig: Rig) -> None:
    body = {"device_name": "电表-1", "description": "in the cellar", "auth_info": {"timeout": 60}}
    answer = await rig.call("PUT", D1, body)
    assert answer.status == 200
    assert (answer.body["device_name"], answer.body["auth_info"]["timeout"]) == ("电表-1", 60)
    await rig.call("PUT", D1, {"description": "", "device_name": None})
    shown = await show(rig)
    assert (shown["device_name"], shown["description"]) == ("电表-1", "")
    assert [one["changed"] for one in rig.records("updated")] == [
        ["device_name", "description", "timeout_s"],
        ["description"],
    ]


async def test_secure_access_keeps_a_device_out_at_its_next_connect(rig: Rig) -> None:
    async with await rig.login():
        await rig.call("PUT", D1, {"auth_info": {"secure_access": True}})
        assert (await show(rig))["status"] == "ONLINE"
    assert await rig.refusal(connect()) == 5


async def test_update_touches_no_secret(rig: Rig) -> None:
    await rig.call("PUT", D1, {"auth_info": {"secret": "another-secret", "secondary_secret": "another-secret"}})
    assert (await show(rig))["auth_info"]["secret"] == PRIMARY
    async with await rig.login():
        pass


@pytest.mark.parametrize("body", [{"device_name": ""}, {"description": "<"}, {"auth_info": {"timeout": 1.5}}])
async def test_unfit_update_changes_nothing(rig: Rig, body: object) -> None:
    assert is_vendors(await rig.call("PUT", D1, body), 400, "IOTDA.000006")
    assert rig.records("updated") == []
