"""ROMA LINK over HTTP: products, devices, their authentications; and the answers when something is wrong."""

from pathlib import Path
from typing import Any

import pytest

from broker.auth.plain_login import LoginRules
from tests.broker.link import BASE, OTHER, PASSWORD, PRODUCT, USER_NAME, Link
from tests.broker.rig import Answer, Rig, running

RESET, SHOW = "devices/1/authentication", "devices/1/authentication"


@pytest.fixture
async def link(rig: Rig) -> Link:
    """A product and a device of it, both with the id 1."""
    link = Link(rig)
    await link.device((await link.product())["id"])
    return link


def invalid(answer: Answer, operation: str, parameter: str, processor: str) -> bool:
    expected = f"Parameter is not valid for operation [romalink.{operation}]. Parameter is [{parameter}]. "
    assert answer.body["request_id"] == answer.headers["x-request-id"]
    assert len(answer.body["error_msg"]) <= 200
    is_named = answer.body["error_msg"].startswith(f"{expected}Processor is [{processor}].")
    return is_named and (answer.status, answer.body["error_code"]) == (400, "SCB.00000000")


async def test_reset_changes_what_is_not_empty(link: Link) -> None:
    assert (await link.reset(1, password=OTHER)).body == {"user_name": USER_NAME, "password": OTHER}
    assert (await link.reset(1, user_name="device01")).body == {"user_name": "device01", "password": OTHER}
    both = {"user_name": "device02", "password": PASSWORD}
    assert (await link.reset(1, **both)).body == both
    assert (await link.reset(1, user_name="", password=OTHER)).body == {"user_name": "device02", "password": OTHER}
    assert (await link.reset(1, user_name="device03", password="")).body == {"user_name": "device03", "password": OTHER}
    assert (await link.call("GET", SHOW)).body == {"user_name": "device03", "password": OTHER}


@pytest.mark.parametrize(
    "body", [None, b"", b"null", {}, {"user_name": ""}, {"user_name": None, "password": None}, {"x": 1}]
)
async def test_reset_of_nothing_generates_a_password_and_keeps_the_user_name(link: Link, body: object) -> None:
    answer = await link.call("PUT", RESET, body)
    assert answer.status == 200
    assert answer.body["user_name"] == USER_NAME
    assert answer.body["password"] != PASSWORD
    assert LoginRules().password_error(answer.body["password"]) is None
    assert link.rig.records("reset")[0]["generated"]


@pytest.mark.parametrize(
    "body",
    [
        {"password": "Short-1"},
        {"password": "Open-Sesame-01"},
        {"password": "x" * 33},
        {"password": "open-sesame-0001"},
        {"password": 7},
        {"user_name": "under_score"},
        {"user_name": "x" * 65},
        {"user_name": ["a"]},
        {"user_name": "fit", "password": "unfit"},
        [],
        b"{",
    ],
)
async def test_unfit_reset_is_400_and_changes_nothing(link: Link, body: object) -> None:
    answer = await link.call("PUT", RESET, body)
    assert invalid(answer, "link-device.resetAuthentication", "request", "body")
    assert "Short-1" not in answer.body["error_msg"]
    assert (await link.call("GET", SHOW)).body == {"user_name": USER_NAME, "password": PASSWORD}
    assert link.rig.records("reset") == []


async def test_lengths_are_settings(tmp_path: Path) -> None:
    async with running(tmp_path, roma_shortest_password=8, roma_strict_user_names=True) as rig:
        link = Link(rig)
        await link.device((await link.product())["id"])
        assert (await link.reset(1, password="Aa1~Aa1~")).status == 200
        assert (await link.reset(1, user_name="nine-9999")).status == 400
        assert (await link.reset(1, user_name="ten-999999")).status == 200


@pytest.mark.parametrize("path", ["devices/2/authentication", "devices/2", "products/2/authentication", "products/2"])
async def test_unknown_id_is_404_and_named(link: Link, path: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        answer = await link.call(method, path, {} if method == "PUT" else None)
        if answer.status != 405:
            assert (answer.status, answer.body["error_code"]) == (404, "ROMA.00110006")
            expected = "The resource does not exist. Check whether the resource ID 2 is correct."
            assert answer.body["error_msg"] == expected


@pytest.mark.parametrize("oid", ["x", "-1", "1.5", "+1", "1_0", "%D9%A1", "9" * 18, "%20", "0x1"])
async def test_id_that_is_no_number_is_the_vendors_error(link: Link, oid: str) -> None:
    for method, path, operation, parameter in (
        ("PUT", f"devices/{oid}/authentication", "link-device.resetAuthentication", "deviceOid"),
        ("GET", f"devices/{oid}", "link-device.showDevice", "deviceOid"),
        ("GET", f"products/{oid}", "link-product.searchProductDetails", "product_id"),
        ("PUT", f"products/{oid}/authentication", "link-product.resetAuthentication", "product_id"),
    ):
        answer = await link.call(method, path)
        assert invalid(answer, operation, parameter, "path")
        assert answer.body["error_msg"].endswith("[path].")


async def test_token_is_asked_for_in_the_vendors_words(tmp_path: Path) -> None:
    async with running(tmp_path, token="t") as rig:
        link = Link(rig)
        for method, path, operation in (
            ("PUT", RESET, "link-device.resetAuthentication"),
            ("POST", "devices", "link-device.createDevice"),
            ("POST", "devices/force-offline", "link-device.batchFreezeDevices"),
            ("GET", "products/1", "link-product.searchProductDetails"),
        ):
            answer = await link.call(method, path)
            assert invalid(answer, operation, "X-Auth-Token", "header")
            assert answer.body["error_msg"].endswith("[header].")
        assert (await link.call("GET", "nowhere")).body["error_msg"] == "Not Found"
        assert (await link.call("GET", RESET, **{"X-Auth-Token": "t"})).status == 404
        assert (await link.call("GET", RESET, **{"X-Auth-Token": "other"})).status == 401


@pytest.mark.parametrize(
    ("project", "instance", "is_served"),
    [
        ("p1", "i1", True),
        ("default", "i1", True),
        ("p1", "default", True),
        ("default", "default", True),
        ("p2", "i1", False),
        ("p1", "i2", False),
        ("default", "i2", False),
        ("p1", "", False),
    ],
)
async def test_project_and_instance_are_ours(tmp_path: Path, project: str, instance: str, is_served: bool) -> None:
    async with running(tmp_path, project_id="p1", instance_id="i1") as rig:
        answer = await rig.call("GET", f"/v2/{project}/link/instances/{instance}/devices")
    assert answer.status == (200 if is_served else 500)
    if not is_served:
        assert answer.body["error_code"] == "ROMA.00110002"
        expected = f"The instance does not exist. project_id: {project}, instance_id: {instance}"
        assert answer.body["error_msg"] == expected


async def test_secrets_are_shown_to_who_asks_by_a_loopback_name(link: Link) -> None:
    for path in ("devices", "devices/1", SHOW, "products/1", "products/1/authentication"):
        assert (await link.call("GET", path)).status == 200
        answer = await link.call("GET", path, Host="rebound.example")
        assert (answer.status, answer.body["error_code"]) == (403, "SCB.00000000")
        assert PASSWORD not in str(answer)


async def test_device_is_shown_with_all_that_is_known(link: Link) -> None:
    shown = await link.shown(1)
    created_ms, client_id = shown.pop("created_datetime"), shown.pop("client_id")
    assert created_ms > 1_600_000_000_000
    assert client_id.startswith("D000000001")
    assert shown == {
        "id": 1,
        "device_id": 1,
        "product": {
            "product_id": 1,
            "product_name": "meters",
            "manufacturer_id": "acme",
            "model": "m1",
            "protocol_type": 0,
            "product_type": 0,
        },
        "device_name": "meter 7",
        "instance_id": "default",
        "node_id": "m-7",
        "app_id": "hall",
        "status": 0,
        "online_status": 0,
        "authentication": {"user_name": USER_NAME, "password": PASSWORD},
        "tags": [],
        "connect_address": f"127.0.0.1:{link.rig.platform.mqtt_port}",
        "node_type": 0,
        "device_type": 0,
    }


async def test_device_may_be_created_by_manufacturer_and_model_with_nothing_else(link: Link) -> None:
    named = {"product": {"manufacturer_id": "acme", "model": "m1"}, "user_name": "", "password": None}
    device = await link.device(0, **named)
    assert (device["id"], device["product"]["product_id"]) == (2, 1)
    assert LoginRules().password_error(device["authentication"]["password"]) is None
    unknown = await link.create(0, product={"manufacturer_id": "acme", "model": "m2"})
    assert (unknown.status, unknown.body["error_code"]) == (404, "ROMA.00110006")


async def test_password_of_eight_characters_is_taken_at_creation(link: Link) -> None:
    assert (await link.device(1, password="Aa1~Aa1~"))["authentication"]["password"] == "Aa1~Aa1~"
    assert (await link.create(1, password="Aa1~Aa1")).status == 400


@pytest.mark.parametrize(
    "fields",
    [
        {"device_name": "x"},
        {"device_name": "x" * 65},
        {"device_name": None},
        {"node_id": "a b"},
        {"node_id": "x"},
        {"app_id": None},
        {"status": 2},
        {"status": True},
        {"parent_device_id": 1},
        {"product": {}},
        {"product": {"model": "m1"}},
        {"product": None},
        {"product": {"product_id": "1"}},
        {"description": "x" * 201},
        {"user_name": "a_b"},
        {"password": "canary"},
    ],
)
async def test_unfit_device_is_400_and_not_created(link: Link, fields: dict[str, Any]) -> None:
    answer = await link.create(1, **fields)
    assert invalid(answer, "link-device.createDevice", "request", "body")
    assert "canary" not in answer.body["error_msg"]
    assert (await link.call("GET", "devices")).body["total"] == 1


async def test_device_of_an_unknown_product_is_404(link: Link) -> None:
    answer = await link.create(7)
    assert (answer.status, answer.body["error_code"]) == (404, "ROMA.00110006")
    assert "resource ID 7 " in answer.body["error_msg"]


async def test_update_changes_what_it_names_and_answers_with_the_device(link: Link) -> None:
    answer = await link.call("PUT", "devices/1", {"device_name": "计量表 7", "description": "in the hall", "status": 1})
    assert answer.status == 200
    assert answer.body == await link.shown(1)
    assert (answer.body["device_name"], answer.body["description"], answer.body["status"]) == (
        "计量表 7",
        "in the hall",
        1,
    )
    assert (await link.call("PUT", "devices/1", {"status": 0})).body["device_name"] == "计量表 7"
    bad = await link.call("PUT", "devices/1", {"status": "1"})
    assert invalid(bad, "link-device.updateDevice", "request", "body")


async def test_deleted_device_is_gone_and_its_id_is_not_used_again(link: Link) -> None:
    answer = await link.call("DELETE", "devices/1")
    assert (answer.status, answer.body) == (204, None)
    assert (await link.call("GET", "devices/1")).status == 404
    assert (await link.device(1))["id"] == 2


async def test_list_is_paged_with_the_newest_first(link: Link) -> None:
    for number in range(2, 13):
        await link.device(1, node_id=f"m-{number % 2}", user_name=f"user-{number}")
    first = (await link.call("GET", "devices")).body
    assert (first["total"], first["size"]) == (12, 10)
    assert [one["id"] for one in first["items"]] == list(range(12, 2, -1))
    rest = (await link.call("GET", "devices?limit=5000&offset=10")).body
    assert [one["id"] for one in rest["items"]] == [2, 1]
    beyond = (await link.call("GET", f"devices?offset={1 << 70}")).body
    assert beyond == {"total": 12, "size": 0, "items": []}
    odd = (await link.call("GET", "devices?node_id=m-1&limit=2&product_id=1&online_status=0,2")).body
    assert ([one["id"] for one in odd["items"]], odd["total"]) == ([11, 9], 5)
    assert (await link.call("GET", "devices?online_status=1")).body == {"total": 0, "size": 0, "items": []}
    client_id = first["items"][3]["client_id"]
    assert [one["id"] for one in (await link.call("GET", f"devices?client_id={client_id}")).body["items"]] == [9]


async def test_list_is_filtered_by_age_and_by_kind(link: Link) -> None:
    born = (await link.shown(1))["created_datetime"]
    for query, count in (
        (f"created_date_start={born}", 1),
        (f"created_date_start={born + 1}", 0),
        (f"created_date_end={born}", 1),
        (f"created_date_end={born - 1}", 0),
        ("node_type=0", 1),
        ("node_type=2", 0),
    ):
        assert (await link.call("GET", f"devices?{query}")).body["total"] == count, query


@pytest.mark.parametrize(
    "query",
    [
        "node_type=3",
        "created_date_end=x",
        "limit=0",
        "limit=x",
        "offset=-1",
        "product_id=x",
        "online_status=3",
        "node_id=%00",
    ],
)
async def test_unfit_query_is_named(link: Link, query: str) -> None:
    answer = await link.call("GET", f"devices?{query}")
    assert invalid(answer, "link-device.listDevices", query.split("=")[0], "query")


async def test_product_is_created_shown_and_deleted(link: Link) -> None:
    facts = {
        "name": "valves",
        "description": "with a wheel",
        "device_type": "Default",
        "version": "1",
        "data_format": 1,
    }
    product = await link.product(**facts)
    assert product == (await link.call("GET", "products/2")).body
    assert {**PRODUCT, **facts}.items() <= product.items()
    assert (await link.call("DELETE", "products/2")).status == 204
    assert (await link.call("GET", "products/2")).status == 404


async def test_product_with_devices_is_not_deleted(link: Link) -> None:
    answer = await link.call("DELETE", "products/1")
    assert invalid(answer, "link-product.deleteProduct", "product_id", "path")
    assert (await link.call("GET", "products/1")).status == 200


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"name": "a b"},
        {"name": ""},
        {"name": "x" * 65},
        {"name": "v", "protocol_type": 4},
        {"name": "v", "protocol_type": False},
        {"name": "v", "product_type": 2},
        {"name": "v", "model": None},
        {"name": "v", "description": "x" * 201},
    ],
    ids=lambda fields: str(fields)[:30],
)
async def test_product_that_is_unfit_or_there_already_is_400(link: Link, fields: dict[str, Any]) -> None:
    answer = await link.call("POST", "products", {**PRODUCT, **fields})
    assert invalid(answer, "link-product.createProduct", "request", "body")


async def test_products_authentication_is_reset_like_a_devices(link: Link) -> None:
    path = "products/1/authentication"
    before = (await link.call("GET", path)).body
    answer = await link.call("PUT", path, {"user_name": "all-meters"})
    assert answer.body == {"user_name": "all-meters", "password": before["password"]}
    answer = await link.call("PUT", path, {})
    assert answer.body["user_name"] == "all-meters"
    assert answer.body["password"] != before["password"]
    assert (await link.call("GET", path)).body == answer.body
    bad = await link.call("PUT", path, {"password": "short"})
    assert invalid(bad, "link-product.resetAuthentication", "request", "body")


async def test_devices_that_nobody_knows_fail_to_be_forced_offline(link: Link) -> None:
    answer = await link.call("POST", "devices/force-offline", {"device_ids": [1, 7.9, 1, 7]})
    assert answer.status == 200
    assert answer.body == {
        "success": [{"id": 1, "device_id": 1, "device_name": "meter 7"}],
        "failed": [{"id": 7, "device_id": 7}],
    }


@pytest.mark.parametrize("body", [None, {}, {"device_ids": None}, {"device_ids": 1}, {"device_ids": ["1"]}])
async def test_unfit_list_of_devices_is_400(link: Link, body: object) -> None:
    answer = await link.call("POST", "devices/force-offline", body)
    assert invalid(answer, "link-device.batchFreezeDevices", "request", "body")


async def test_iotda_neither_shows_nor_changes_a_roma_device(link: Link) -> None:
    client_id = (await link.shown(1))["client_id"]
    device = f"/v5/iot/p/devices/{client_id}"
    for method, path, body in (
        ("GET", device, None),
        ("PUT", device, {"device_name": "x"}),
        ("DELETE", device, None),
        ("POST", f"{device}/freeze", None),
        ("POST", f"{device}/action?action_id=resetSecret", {}),
        ("POST", f"/_platform/devices/{client_id}/commands", {"command_name": "c"}),
        ("POST", f"/_platform/devices/{client_id}/messages", {"payload": "m"}),
    ):
        assert (await link.rig.call(method, path, body)).status == 404, path
    assert (await link.rig.call("GET", "/v5/iot/p/devices")).body["page"]["count"] == 1
    assert (await link.rig.call("GET", "/_platform/devices")).body["count"] == 1
    assert (await link.reset(1)).status == 200


async def test_no_iotda_device_takes_the_client_id_of_a_roma_device(link: Link) -> None:
    client_id = (await link.shown(1))["client_id"]
    created = await link.rig.call(
        "POST", "/v5/iot/p/devices", {"product_id": "p", "node_id": "n", "device_id": client_id}
    )
    assert (created.status, created.body["error_code"]) == (400, "IOTDA.014031")
    lines = b'{"device_id": "d2", "primary": "primary-secret"}\n{"device_id": "%b", "primary": "primary-secret"}'
    provisioned = await link.rig.call("POST", "/_platform/devices", lines % client_id.encode())
    assert provisioned.status == 400
    assert (await link.rig.call("GET", "/_platform/devices")).body["count"] == 1


async def test_no_password_is_in_the_journal(link: Link) -> None:
    await link.reset(1, password=OTHER)
    await link.call("PUT", "products/1/authentication", {"password": OTHER})
    journal = str(link.rig.records())
    assert OTHER not in journal
    assert PASSWORD not in journal


async def test_any_project_and_instance_are_served_unless_set(link: Link) -> None:
    assert (await link.rig.call("GET", BASE.replace("default", "another") + "/devices/1")).status == 200
