"""The control API judged by the vendor's own SDK, as it comes from the package index."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.broker.rig import PRIMARY, SECONDARY, connect, running
from tests.support.iotda_console import METER, Call, Console, create, freeze, sdk, show

pytestmark = pytest.mark.peer


def listing(**query: Any) -> Call:
    return lambda client: client.list_devices(sdk.ListDevicesRequest(**query))


def update(device_id: str = METER, **fields: Any) -> Call:
    body = sdk.UpdateDevice(**fields)
    return lambda client: client.update_device(sdk.UpdateDeviceRequest(device_id=device_id, body=body))


def reset(device_id: str = METER, action_id: str = "resetSecret", **fields: Any) -> Call:
    request = sdk.ResetDeviceSecretRequest(device_id=device_id, action_id=action_id)
    request.body = sdk.ResetDeviceSecret(**fields)
    return lambda client: client.reset_device_secret(request)


def unfreeze(device_id: str = METER) -> Call:
    return lambda client: client.unfreeze_device(sdk.UnfreezeDeviceRequest(device_id=device_id))


def delete(device_id: str = METER) -> Call:
    return lambda client: client.delete_device(sdk.DeleteDeviceRequest(device_id=device_id))


@pytest.fixture
async def console(tmp_path: Path) -> AsyncIterator[Console]:
    async with running(tmp_path) as rig:
        yield Console(rig)


async def test_device_is_created_as_the_sdk_asks(console: Console) -> None:
    auth_info = sdk.AuthInfo(auth_type="SECRET", secret=PRIMARY, secure_access=False, timeout=300)
    created = await console.create(device_name="meter", description="water meter", auth_info=auth_info)
    assert created.status_code == 201
    assert (created.device_id, created.product_id, created.node_id) == (METER, "product", "meter")
    assert (created.device_name, created.description, created.status) == ("meter", "water meter", "INACTIVE")
    assert (created.auth_info.secret, created.auth_info.timeout) == (PRIMARY, 300)
    assert created.create_time


async def test_device_is_shown_with_both_secrets_while_it_is_online(console: Console) -> None:
    await console.create(auth_info=sdk.AuthInfo(secret=PRIMARY))
    await console(reset(secret=SECONDARY, secret_type="SECONDARY"))
    async with await console.rig.login(connect(METER, SECONDARY)):
        shown = await console(show())
    assert (shown.auth_info.secret, shown.auth_info.secondary_secret) == (PRIMARY, SECONDARY)
    assert (shown.status, shown.node_type) == ("ONLINE", "GATEWAY")
    assert shown.active_time == shown.connection_status_update_time


async def test_list_is_paged_by_its_markers(console: Console) -> None:
    for number in range(5):
        await console.create(node_id=f"n{number}")
    seen, page = [], await console(listing(product_id="product", limit=2))
    while page.devices:
        assert page.page.count == 5
        seen += [one.node_id for one in page.devices]
        page = await console(listing(product_id="product", limit=2, marker=page.page.marker))
    assert seen == ["n4", "n3", "n2", "n1", "n0"]


async def test_device_is_updated(console: Console) -> None:
    await console.create(description="as it was")
    updated = await console(
        update(device_name="电表", auth_info=sdk.AuthInfoWithoutSecret(secure_access=True, timeout=60))
    )
    assert (updated.status_code, updated.device_name, updated.description) == (200, "电表", "as it was")
    assert (updated.auth_info.secure_access, updated.auth_info.timeout) == (True, 60)


async def test_secret_is_reset_and_the_session_cut(console: Console) -> None:
    await console.create(auth_info=sdk.AuthInfo(secret=PRIMARY))
    async with await console.rig.login(connect(METER, PRIMARY)) as device:
        answer = await console(reset(force_disconnect=True))
        await device.rest()
    assert (answer.device_id, answer.secret_type, len(answer.secret)) == (METER, "PRIMARY", 32)
    assert await console.rig.refusal(connect(METER, PRIMARY)) == 4
    async with await console.rig.login(connect(METER, answer.secret)):
        pass


async def test_device_is_frozen_unfrozen_and_deleted(console: Console) -> None:
    await console.create()
    assert (await console(freeze())).status_code == 204
    assert (await console(show())).status == "FROZEN"
    assert (await console(unfreeze())).status_code == 204
    assert (await console(delete())).status_code == 204
    assert (await console(listing())).page.count == 0


REFUSALS: list[tuple[Call, int, str, str]] = [
    (create(), 400, "IOTDA.014031", "Invalid input. The device already exists."),
    (create(device_id="other"), 400, "IOTDA.014031", "Invalid input. The device already exists."),
    (create(node_id="no node"), 400, "IOTDA.000006", "Invalid input data. node_id:"),
    (create(node_id="n", auth_info=sdk.AuthInfo(secret="short")), 400, "IOTDA.000006", "Invalid input data. auth_info"),
    (create(node_id="n", gateway_id=METER), 400, "IOTDA.000006", "Invalid input data. gateway_id:"),
    (show("nobody"), 404, "IOTDA.014000", "The device does not exist."),
    (update("nobody", device_name="n"), 404, "IOTDA.014000", "The device does not exist."),
    (update(device_name="<n>"), 400, "IOTDA.000006", "Invalid input data. device_name:"),
    (delete("nobody"), 404, "IOTDA.014000", "The device does not exist."),
    (listing(limit=51), 400, "IOTDA.000017", "Invalid input. The specified parameter 'limit' is out of range."),
    (listing(offset=501), 400, "IOTDA.000006", "Invalid input data. offset:"),
    (listing(marker="end"), 400, "IOTDA.000006", "Invalid input data. marker:"),
    (listing(start_time="today"), 400, "IOTDA.000009", "Invalid input. Invalid time format."),
    (reset(secret="short"), 400, "IOTDA.000006", "Invalid input data."),
    (reset(action_id="reboot"), 400, "IOTDA.000006", "Invalid input data. action_id:"),
    (reset("nobody"), 404, "IOTDA.014000", "The device does not exist."),
    (unfreeze(), 403, "IOTDA.014040", "The device is not frozen."),
]


async def test_refusals_are_told_by_their_codes_and_texts(console: Console) -> None:
    await console.create()
    for call, status, code, text in REFUSALS:
        found = await console.refused(call)
        assert found[:2] == (status, code), found
        assert found[2].startswith(text), found
    await console(freeze())
    assert (await console.refused(freeze()))[:2] == (403, "IOTDA.014039")


async def test_token_is_missed_in_the_sdks_requests(tmp_path: Path) -> None:
    async with running(tmp_path, token="open-sesame") as rig:
        assert (await Console(rig).refused(listing()))[:2] == (401, "IOTDA.000002")
