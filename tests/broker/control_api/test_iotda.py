"""resetSecret, freeze and unfreeze as the vendor documents them, and the vendor's errors."""

from pathlib import Path
from typing import Any

import pytest

from tests.broker.rig import Rig, running

ACTION = "/v5/iot/any-project/devices/d1/action"


async def fails(
    rig: Rig, status: int, code: str, body: object = None, path: str = f"{ACTION}?action_id=resetSecret"
) -> str:
    """Send a reset that must fail so; returns the message."""
    answer = await rig.call("POST", path, body)
    assert answer.headers["x-request-id"]
    assert set(answer.body) == {"error_code", "error_msg"}
    assert (answer.status, answer.body["error_code"]) == (status, code), answer.body
    message: str = answer.body["error_msg"]
    return message


@pytest.mark.parametrize(
    "body", [None, b"", b"{}", b"null", b'{"secret": null, "secret_type": null, "force_disconnect": null}']
)
async def test_absent_and_null_fields_are_the_same(rig: Rig, body: bytes | None) -> None:
    answer = await rig.call("POST", f"{ACTION}?action_id=resetSecret", body)
    assert answer.status == 200
    assert answer.body["secret_type"] == "PRIMARY"
    assert rig.records("reset")[0]["forced"] is False


async def test_unknown_fields_and_headers_are_ignored(rig: Rig) -> None:
    answer = await rig.call(
        "POST",
        f"{ACTION}?action_id=resetSecret&more=1",
        b'{"secret": "new-primary-1", "extra": [1]}',
        headers={"Instance-Id": "any", "X-Auth-Token": "any"},
    )
    assert answer.body["secret"] == "new-primary-1"


@pytest.mark.parametrize(
    "body",
    [
        {"secret": ""},
        {"secret": "short"},
        {"secret": "x" * 33},
        {"secret": "12345678\n"},
        {"secret": "sécret-12"},
        {"secret": 12_345_678},
        {"force_disconnect": "true"},
        {"force_disconnect": 1},
        {"secret_type": "primary"},
        {"secret_type": "TERTIARY"},
        [],
        "text",
        7,
    ],
)
async def test_unfit_value_is_400_and_changes_nothing(rig: Rig, body: Any) -> None:
    await fails(rig, 400, "IOTDA.000006", body)
    assert rig.records("reset") == []


async def test_message_names_the_field_and_never_the_value(rig: Rig) -> None:
    assert "secret_type" in await fails(rig, 400, "IOTDA.000006", {"secret_type": "canary"})
    for secret in ("canary with spaces", ["canary"]):
        message = await fails(rig, 400, "IOTDA.000006", {"secret": secret})
        assert "secret" in message
        assert "canary" not in message


@pytest.mark.parametrize("body", [b"{", b'{"secret": "\xff"}', b"secret=12345678", b'{"secret": "a\nb"}'])
async def test_body_that_is_no_json_is_400(rig: Rig, body: bytes) -> None:
    await fails(rig, 400, "IOTDA.000008", body)


@pytest.mark.parametrize("query", ["", "?action_id=", "?action_id=resetsecret", "?action_id=reboot"])
async def test_other_actions_are_400(rig: Rig, query: str) -> None:
    assert "resetSecret" in await fails(rig, 400, "IOTDA.000006", {}, ACTION + query)


@pytest.mark.parametrize("verb", ["action?action_id=resetSecret", "freeze", "unfreeze"])
async def test_unknown_device_is_404(rig: Rig, verb: str) -> None:
    await fails(rig, 404, "IOTDA.014000", None, f"/v5/iot/p/devices/nobody/{verb}")


async def test_freezing_twice_and_unfreezing_the_unfrozen_are_403(rig: Rig) -> None:
    await fails(rig, 403, "IOTDA.014040", None, "/v5/iot/p/devices/d1/unfreeze")
    assert (await rig.call("POST", "/v5/iot/p/devices/d1/freeze")).status == 204
    await fails(rig, 403, "IOTDA.014039", None, "/v5/iot/p/devices/d1/freeze")


async def test_token_is_asked_of_every_caller(tmp_path: Path) -> None:
    async with running(tmp_path, token="open-sesame") as rig:
        for path in ("/_platform", "/v5/iot/p/devices/d1/freeze", "/nowhere"):
            for headers in ({}, {"X-Auth-Token": "open-sesam"}):
                answer = await rig.call("POST", path, headers=headers)
                assert (answer.status, answer.body["error_code"]) == (401, "IOTDA.000002")
                assert answer.headers["x-request-id"]
        answer = await rig.call("GET", "/_platform", headers={"X-Auth-Token": "open-sesame"})
        assert answer.status == 200
