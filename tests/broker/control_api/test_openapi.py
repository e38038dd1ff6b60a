"""The API's description: valid, the same every time, and of every route."""

import re
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel

from broker.control_api import openapi
from broker.control_api.documented import documented
from broker.errors import UnknownDevice
from tests.broker.rig import Rig, running

OPERATION = re.compile(r"^(get|put|post|delete|patch)$")


async def description(rig: Rig) -> dict[str, Any]:
    answer = await rig.call("GET", "/_platform/openapi.json")
    assert answer.status == 200
    return dict(answer.body)


def operations(described: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, item in described["paths"].items()
        for method, operation in item.items()
        if OPERATION.match(method)
    }


async def test_description_is_valid_openapi(rig: Rig) -> None:
    OpenAPIV31SpecValidator(await description(rig)).validate()


async def test_description_is_the_same_on_every_platform(rig: Rig, tmp_path: Path) -> None:
    async with running(tmp_path, project_id="p", instance_id="i") as other:
        assert await description(rig) == await description(other)


async def test_every_route_is_described_under_a_name_of_its_own(rig: Rig) -> None:
    found = operations(await description(rig))
    names = [one["operationId"] for one in found.values()]
    assert len(set(names)) == len(names)
    assert {
        "POST /v5/iot/{project_id}/devices/{device_id}/action",
        "GET /v5/iot/{project_id}/devices",
        "POST /_platform/devices",
        "GET /_platform/journal",
        "GET /_platform/openapi.json",
    } <= found.keys()


async def test_every_body_and_every_answer_but_an_empty_one_has_a_shape(rig: Rig) -> None:
    found = operations(await description(rig))
    empty = {name for name, one in found.items() for code in one["responses"] if code[0] == "2" and not content(one)}
    assert empty == {
        "POST /_platform/shutdown",
        "DELETE /v2/{project_id}/link/instances/{instance_id}/devices/{device_id}",
        "DELETE /v2/{project_id}/link/instances/{instance_id}/products/{product_id}",
        "DELETE /v5/iot/{project_id}/devices/{device_id}",
        "DELETE /v5/iot/{project_id}/devices/{device_id}/messages/{message_id}",
        "DELETE /v5/iot/{project_id}/routing-rule/actions/{action_id}",
        "DELETE /v5/iot/{project_id}/routing-rule/rules/{rule_id}",
        "POST /v5/iot/{project_id}/devices/{device_id}/freeze",
        "POST /v5/iot/{project_id}/devices/{device_id}/unfreeze",
    }


def content(operation: dict[str, Any]) -> dict[str, Any]:
    (good,) = (answer for code, answer in operation["responses"].items() if code[0] == "2")
    return dict(good.get("content", {}))


async def test_query_is_described_with_its_bounds(rig: Rig) -> None:
    listing = operations(await description(rig))["GET /v5/iot/{project_id}/devices"]
    query = {one["name"]: one["schema"] for one in listing["parameters"] if one["in"] == "query"}
    assert query["limit"] == {"default": 10, "minimum": 1, "maximum": 50, "type": "integer"}
    assert query["status"]["enum"] == ["ONLINE", "OFFLINE", "ABNORMAL", "INACTIVE", "FROZEN"]
    assert "anyOf" not in str(query)


async def test_lines_and_events_are_described_as_what_they_are(rig: Rig) -> None:
    found = operations(await description(rig))
    lines = found["POST /_platform/devices"]["requestBody"]["content"]["application/x-ndjson"]["schema"]
    assert lines["contentSchema"] == {"$ref": "#/components/schemas/DeviceLine"}
    assert list(content(found["GET /_platform/journal"])) == ["text/event-stream"]
    outcomes = content(found["POST /_platform/devices/reset-secrets"])["application/x-ndjson"]["schema"][
        "contentSchema"
    ]
    assert [one["$ref"].rpartition("/")[2] for one in outcomes["anyOf"]] == ["ResetOutcome", "ResetCounts"]


async def test_errors_are_listed_with_their_codes(rig: Rig) -> None:
    freeze = operations(await description(rig))["POST /v5/iot/{project_id}/devices/{device_id}/freeze"]
    schema = freeze["responses"]["403"]["content"]["application/json"]["schema"]
    assert schema["properties"]["error_code"]["enum"] == ["IOTDA.000021", "IOTDA.000022", "IOTDA.014039"]
    assert set(freeze["responses"]) == {
        *("204", "400", "401", "403", "404", "405", "408", "413", "415", "431", "500"),
    }


async def test_no_caller_must_prove_anything_unless_the_platform_wants_it(rig: Rig) -> None:
    described = await description(rig)
    assert described["security"] == [{}, {"token": []}, {"signature": []}]
    assert described["components"]["securitySchemes"].keys() == {"token", "signature"}


class Body(BaseModel):
    wanted: int
    about: str | None = None


class Reply(BaseModel):
    found: list[Body]


@pytest.fixture
def described() -> dict[str, Any]:
    """A route as others write it: parameters in the signature, models for the body and the answer."""
    api = APIRouter(prefix="/_platform", tags=["platform"])

    @api.post("/things/{thing_id}", **documented(body=Body, answer=Reply, status=202, errors=[UnknownDevice]))
    async def add_thing(thing_id: str, limit: int = 10, after: str | None = None) -> None: ...

    return openapi.describe(api.routes)


def test_route_is_described_by_its_signature_and_its_models(described: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(described).validate()
    thing = described["paths"]["/_platform/things/{thing_id}"]["post"]
    assert {one["name"]: one["in"] for one in thing["parameters"]} == {
        "thing_id": "path",
        "limit": "query",
        "after": "query",
    }
    assert thing["requestBody"]["required"]
    assert content(thing) == {"application/json": {"schema": {"$ref": "#/components/schemas/Reply"}}}
    assert "IOTDA.014000" in thing["responses"]["404"]["description"]


def test_errors_of_roma_link_have_a_shape_of_their_own() -> None:
    api = APIRouter(tags=["ROMA LINK"])

    @api.delete("/v2/{project_id}/things/{thing_id}", **documented(status=204, errors=[UnknownDevice]))
    async def delete_thing() -> None: ...

    described = openapi.describe(api.routes)
    OpenAPIV31SpecValidator(described).validate()
    found = described["paths"]["/v2/{project_id}/things/{thing_id}"]["delete"]["responses"]
    assert found["404"]["content"]["application/json"]["schema"]["$ref"] == "#/components/schemas/RomaError"
    assert "request_id" in described["components"]["schemas"]["RomaError"]["required"]
