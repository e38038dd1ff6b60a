"""The list of devices: what it tells, and to whom it tells secrets."""

from pathlib import Path

import pytest

from broker.auth.registry import Secret
from tests.broker.control_api.test_guard import is_vendors
from tests.broker.rig import PRIMARY, SECONDARY, Rig, connect, running

DEVICES = "/_platform/devices"
WITH_SECRETS = f"{DEVICES}?secrets=true"
MARKS = {"primary": Secret(PRIMARY, 1).fingerprint, "secondary": Secret(SECONDARY, 1).fingerprint}


async def test_device_is_listed_by_fingerprints_with_its_session(rig: Rig) -> None:
    async with await rig.login():
        answer = await rig.call("GET", DEVICES)
    assert answer.body == {
        "count": 1,
        "devices": [
            {
                "device_id": "d1",
                "product_id": None,
                "node_id": "d1",
                "protocol": "mqtt",
                "secure_access": False,
                "frozen": False,
                "session": {"slot": "primary", "secret_version": 1},
                "registration": None,
                "primary": {"version": 1, "fingerprint": MARKS["primary"]},
                "secondary": {"version": 1, "fingerprint": MARKS["secondary"]},
            }
        ],
    }


async def test_device_that_is_frozen_and_has_one_secret_is_listed_so(rig: Rig) -> None:
    await rig.call("POST", DEVICES, b'{"device_id": "p_n", "product_id": "p", "primary": "primary-secret"}')
    await rig.call("POST", "/v5/iot/p/devices/p_n/freeze")
    _, listed = (await rig.call("GET", DEVICES)).body["devices"]
    assert (listed["product_id"], listed["node_id"]) == ("p", "n")
    assert (listed["frozen"], listed["session"], listed["secondary"]) == (True, None, None)


async def test_secrets_are_listed_when_they_are_asked_for_and_are_those_in_force(rig: Rig) -> None:
    await rig.reset(secret="another-secret-1")
    (listed,) = (await rig.call("GET", WITH_SECRETS)).body["devices"]
    assert (listed["primary"]["secret"], listed["primary"]["version"]) == ("another-secret-1", 2)
    assert listed["secondary"]["secret"] == SECONDARY


@pytest.mark.parametrize("query", ["", "?secrets=false", "?secret=true"])
async def test_secrets_are_not_listed_otherwise(rig: Rig, query: str) -> None:
    (listed,) = (await rig.call("GET", DEVICES + query)).body["devices"]
    assert PRIMARY not in str(listed)
    assert SECONDARY not in str(listed)


@pytest.mark.parametrize("value", ["", "1", "True", "yes"])
async def test_half_a_wish_for_secrets_is_refused(rig: Rig, value: str) -> None:
    assert is_vendors(await rig.call("GET", f"{DEVICES}?secrets={value}"), 400, "IOTDA.000006")


@pytest.mark.parametrize("host", ["rebound.example.org", "127.0.0.1.example.org:8080", "[::1", ""])
async def test_secrets_are_not_told_to_a_page_whose_name_was_bound_to_our_address(rig: Rig, host: str) -> None:
    assert is_vendors(await rig.call("GET", WITH_SECRETS, headers={"Host": host}), 403, "IOTDA.000022")
    assert (await rig.call("GET", DEVICES, headers={"Host": host})).status == 200


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1", "[::1]:8080"])
async def test_secrets_are_told_under_every_loopback_name(rig: Rig, host: str) -> None:
    assert (await rig.call("GET", WITH_SECRETS, headers={"Host": host})).status == 200


async def test_token_opens_the_list_under_any_name_and_nothing_else_does(tmp_path: Path) -> None:
    async with running(tmp_path, token="right") as rig:
        for url in (DEVICES, WITH_SECRETS):
            assert is_vendors(await rig.call("GET", url), 401, "IOTDA.000002")
            named = {"Host": "platform.example.org", "X-Auth-Token": "right"}
            assert (await rig.call("GET", url, headers=named)).body == {"count": 0, "devices": []}


async def test_listing_writes_nothing_to_the_journal(rig: Rig) -> None:
    await rig.call("GET", WITH_SECRETS)
    await rig.refusal(connect(secret="wrong-secret"))
    assert [record["kind"] for record in rig.records()] == ["header", "provisioned", "refused"]


async def test_ten_thousand_devices_are_listed(rig: Rig) -> None:
    await rig.provision(*(f"n{number}" for number in range(10_000)))
    answer = await rig.call("GET", WITH_SECRETS)
    assert answer.body["count"] == len(answer.body["devices"]) == 10_001
