"""What every answer has in common, whoever found the error."""

import asyncio
import json

import pytest
from fastapi.exceptions import RequestValidationError
from starlette.requests import Request

from broker.control_api.refusals import on_unfit_parameter
from broker.rotation import Rotation
from tests.broker.rig import Rig


async def raw(rig: Rig, request: bytes) -> tuple[int, str]:
    """Send bytes to the HTTP port; return the status and the whole answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.platform.http_port)
    writer.write(request)
    async with asyncio.timeout(5):
        answer = (await reader.read()).decode()
    writer.close()
    return int(answer.split()[1]), answer


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("GET", "/v5/iot/p/devices/d1/action", 405), ("DELETE", "/_platform", 405)],
)
async def test_unknown_path_and_method_get_the_vendors_body(rig: Rig, method: str, path: str, status: int) -> None:
    answer = await rig.call(method, path)
    assert (answer.status, answer.body["error_code"]) == (status, "APIGW.0101")
    assert f"{method} {path}" in answer.body["error_msg"]
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/v5/iot/p/devices/d1", "DELETE, GET, PUT"),
        ("/v5/iot/p/devices/d1/action", "POST"),
        ("/v2/default/link/instances/default/devices/force-offline", "POST"),
        ("/v2/default/link/instances/default/devices/7", "DELETE, GET, PUT"),
        ("/_platform/devices", "GET, POST"),
    ],
)
async def test_wrong_method_is_told_the_right_ones(rig: Rig, path: str, methods: str) -> None:
    answer = await rig.call("OPTIONS", path)
    assert (answer.status, answer.headers["allow"]) == (405, methods)


@pytest.mark.parametrize(
    "request_line", [b"NONSENSE\r\n\r\n", b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x00\x01"]
)
async def test_malformed_request_gets_the_vendors_body(rig: Rig, request_line: bytes) -> None:
    status, answer = await raw(rig, request_line)
    assert status == 400
    assert "IOTDA.000008" in answer
    assert "X-Request-Id: " in answer


async def test_our_own_crash_is_500_counted_and_kept_from_the_caller(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(Rotation, "reset_secret", broken)
    answer = await rig.reset()
    assert (answer.status, answer.body["error_code"]) == (500, "IOTDA.000001")
    assert "bug" not in answer.body["error_msg"]
    assert answer.headers["x-request-id"]
    assert "a bug of ours" in capsys.readouterr().err
    assert (await rig.statistics())["internal_errors"] == 1


async def test_request_ids_are_never_used_twice(rig: Rig) -> None:
    ids = [(await rig.call("GET", "/_platform")).headers["x-request-id"] for _ in range(10)]
    assert len(set(ids)) == 10


@pytest.mark.parametrize("path", ["/openapi.json", "/docs", "/redoc"])
async def test_no_page_is_offered_that_loads_from_elsewhere(rig: Rig, path: str) -> None:
    assert (await rig.call("GET", path)).status == 404


async def test_unfit_parameter_of_a_signature_gets_the_vendors_body() -> None:
    found = {"type": "int_parsing", "loc": ("query", "limit"), "msg": "expected a number", "input": "canary"}
    answer = await on_unfit_parameter(
        Request({"type": "http", "path": "/_platform/sessions"}), RequestValidationError([found])
    )
    told = json.loads(bytes(answer.body))
    assert (answer.status_code, told["error_code"]) == (400, "IOTDA.000006")
    assert told["error_msg"].endswith("limit: expected a number")
