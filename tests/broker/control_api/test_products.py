"""A product has a protocol, and so have its devices."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from broker.auth.registry import DeviceProtocol, Product, Registry
from broker.control_api.provisioning import parse_devices
from broker.errors import InvalidInput
from tests.broker.rig import PRIMARY, Answer, Rig, connect, running

PRODUCTS = "/_platform/products"
DEVICES = "/v5/iot/p/devices"
HEX = "0123456789abcdef"


async def put(rig: Rig, protocol: object, product_id: str = "meters") -> Answer:
    return await rig.call("PUT", f"{PRODUCTS}/{product_id}", {"protocol": protocol})


async def add(rig: Rig, node_id: str = "n", product_id: str = "meters", **auth_info: Any) -> Answer:
    wanted = {"product_id": product_id, "node_id": node_id, "auth_info": auth_info}
    return await rig.call("POST", DEVICES, wanted)


async def protocols(rig: Rig) -> dict[str, str]:
    listed = (await rig.call("GET", "/_platform/devices")).body["devices"]
    return {one["device_id"]: one["protocol"] for one in listed}


async def test_product_is_there_after_a_restart(tmp_path: Path) -> None:
    for changed in ("coap", "mqtt"):
        async with running(tmp_path, db=tmp_path / "k.db") as rig:
            answer = await put(rig, changed)
            assert (answer.status, answer.body) == (200, {"product_id": "meters", "protocol": changed})
            assert rig.records("product")[-1]["protocol"] == changed
            await put(rig, "coap", "alarms")
        async with running(tmp_path, db=tmp_path / "k.db") as rig:
            assert (await rig.call("GET", PRODUCTS)).body == {
                "count": 2,
                "products": [
                    {"product_id": "alarms", "protocol": "coap"},
                    {"product_id": "meters", "protocol": changed},
                ],
            }


async def test_added_devices_have_the_protocol_of_their_product(rig: Rig) -> None:
    await put(rig, "coap")
    await put(rig, "mqtt", "lamps")
    for product_id in ("meters", "lamps", "unknown"):
        assert (await add(rig, product_id=product_id)).status == 201
    found = await protocols(rig)
    assert (found["meters_n"], found["lamps_n"], found["unknown_n"]) == ("coap", "mqtt", "mqtt")


async def test_given_secret_of_a_coap_device_is_even_hexadecimal(rig: Rig) -> None:
    await put(rig, "coap")
    for secret in (PRIMARY, f"{HEX}0"):
        refused = await add(rig, secret=secret)
        assert (refused.status, refused.body["error_code"]) == (400, "IOTDA.000006")
        assert refused.body["error_msg"].startswith("Invalid input data. auth_info.secret: ")
        assert secret not in refused.body["error_msg"]
    assert (await add(rig, secret=HEX)).body["auth_info"]["secret"] == HEX
    assert (await add(rig, product_id="lamps", secret=PRIMARY)).status == 201
    assert (await rig.reset("meters_n", secret=PRIMARY)).status == 400
    assert (await rig.reset("meters_n", secret=HEX.upper())).status == 200


async def test_provisioned_devices_have_the_protocol_of_their_product(rig: Rig) -> None:
    await put(rig, "coap")
    lines = [
        {"device_id": "meters_a", "product_id": "meters", "primary": HEX},
        {"device_id": "meters_b", "product_id": "meters", "primary": HEX, "protocol": "coap"},
        {"device_id": "lamps_c", "product_id": "lamps", "primary": PRIMARY},
        {"device_id": "d", "primary": HEX, "protocol": "coap"},
    ]
    answer = await rig.call("POST", "/_platform/devices", "\n".join(map(json.dumps, lines)).encode())
    assert answer.body == {"provisioned": 4}
    found = await protocols(rig)
    assert [found[one] for one in ("meters_a", "meters_b", "lamps_c", "d")] == ["coap", "coap", "mqtt", "coap"]
    async with await rig.login(connect("lamps_c")):
        pass


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"device_id": "d", "product_id": "meters", "primary": "primary-secret"}', "line 1: primary: .*hexadecimal"),
        (
            b'{"device_id": "d", "product_id": "meters", "primary": "0123456789abcdef", "protocol": "mqtt"}',
            "line 1: protocol: expected that of product 'meters', coap",
        ),
    ],
)
def test_line_that_does_not_fit_its_product_is_refused(line: bytes, message: str) -> None:
    registry = Registry(products=[Product("meters", DeviceProtocol.COAP)])
    with pytest.raises(InvalidInput, match=message):
        parse_devices(line, registry.protocol_of)


async def test_protocol_of_a_product_with_devices_does_not_change(rig: Rig) -> None:
    await add(rig)
    for _ in range(2):
        refused = await put(rig, "coap")
        assert (refused.status, refused.body["error_code"]) == (409, "IOTDA.000006")
        assert "has devices" in refused.body["error_msg"]
        assert rig.records("product") == []
        assert (await rig.call("GET", PRODUCTS)).body["count"] == 0
    assert (await put(rig, "mqtt")).status == 200
    assert (await put(rig, "coap")).status == 409
    await rig.call("DELETE", f"{DEVICES}/meters_n")
    assert (await put(rig, "coap")).status == 200
    assert (await add(rig)).status == 201
    assert (await put(rig, "mqtt")).status == 409
    assert (await put(rig, "coap")).status == 200


async def test_device_and_protocol_that_are_asked_for_at_once_agree(rig: Rig) -> None:
    """Whichever is first: the other is refused, or follows it."""
    for number in range(20):
        product_id = f"p{number}"
        async with asyncio.TaskGroup() as calls:
            set_ = calls.create_task(put(rig, "coap", product_id))
            added_ = calls.create_task(add(rig, product_id=product_id))
        answers = (set_.result().status, added_.result().status)
        found = await protocols(rig)
        assert answers in ((200, 201), (409, 201), (200, 400))
        if 201 in answers:
            assert found[f"{product_id}_n"] == ("coap" if answers == (200, 201) else "mqtt")


@pytest.mark.parametrize("body", [{}, {"protocol": "lwm2m"}, {"protocol": None}, {"protocol": "coap", "name": "n"}])
async def test_product_without_a_protocol_is_refused(rig: Rig, body: dict[str, Any]) -> None:
    answer = await rig.call("PUT", f"{PRODUCTS}/meters", body)
    assert (answer.status, answer.body["error_code"]) == (400, "IOTDA.000006")


async def test_product_id_is_bounded(rig: Rig) -> None:
    for product_id in ("x" * 37, "a%20b", "ä"):
        answer = await put(rig, "coap", product_id)
        assert (answer.status, answer.body["error_code"]) == (400, "IOTDA.000006")
        assert "product_id: " in answer.body["error_msg"]
