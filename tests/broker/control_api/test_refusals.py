"""Whatever is wrong with a request, and whoever finds it: the body is that of the API that the path belongs to."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from broker.roma import RomaLink
from broker.rotation import Rotation
from tests.broker.control_api.test_app import raw
from tests.broker.link import BASE
from tests.broker.rig import Answer, Rig, running

RESET = "/v5/iot/p/devices/d1/action?action_id=resetSecret"
AUTHENTICATION = f"{BASE}/devices/1/authentication"
CALLS = pytest.mark.parametrize(
    ("method", "path"),
    [("POST", RESET), ("PUT", AUTHENTICATION), ("POST", f"{BASE}/devices/force-offline"), ("POST", "/_platform/clock")],
)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running(tmp_path) as rig:
        await rig.provision("d1")
        yield rig


def is_vendors(answer: Answer, path: str) -> bool:
    """Tell whether a body is of its family; the ids of ROMA's are the same as in the header."""
    if not path.startswith("/v2/"):
        return set(answer.body) == {"error_code", "error_msg"} and bool(answer.headers["x-request-id"])
    assert len(answer.body["error_msg"]) <= 200
    assert answer.body["request_id"] == answer.headers["x-request-id"]
    return set(answer.body) == {"error_code", "error_msg", "request_id"}


def split(text: str) -> Answer:
    """Take an answer apart as it came over the wire."""
    head, _, body = text.partition("\r\n\r\n")
    status, *lines = head.split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    return Answer(int(status.split()[1]), json.loads(body) if body else None, headers)


async def sent(rig: Rig, head: str, body: bytes = b"", **headers: str) -> Answer:
    """Send a request as it is written here, and its body."""
    known = {"Host": "127.0.0.1", "Connection": "close", "Content-Type": "application/json", **headers}
    lines = [head, *(f"{name}: {value}" for name, value in known.items()), f"Content-Length: {len(body)}", "", ""]
    _, text = await raw(rig, "\r\n".join(lines).encode("latin-1") + body)
    return split(text)


BODIES = {
    "half a JSON": b"{",
    "no object": b"[]",
    "a number": b"7",
    "bad UTF-8": b'{"password": "\xff\xfe", "secret": "\xff\xfe"}',
    "half a surrogate": rb'{"password": "\ud800", "secret": "\ud800"}',
    "deep nesting": b'{"x": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    "NaN for a text": b'{"password": NaN, "secret": NaN, "device_ids": [NaN], "advance": NaN}',
    "an infinite number": b'{"password": 1e999, "secret": 1e999, "device_ids": [1e999], "advance": 1e999}',
    "a huge number": b'{"password": %b, "secret": 1, "device_ids": [%b], "advance": -1}' % (b"9" * 400, b"9" * 400),
    "the last of two fields": b'{"password": null, "password": 7, "secret": null, "secret": 7, "device_ids": 1}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "two values": b"{} {}",
}


@CALLS
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_body_that_cannot_be_meant_is_400_and_changes_nothing(
    rig: Rig, method: str, path: str, body: bytes
) -> None:
    answer = await rig.call(method, path, body)
    assert answer.status == 400, answer
    assert is_vendors(answer, path)
    assert [one["kind"] for one in rig.records()] == ["header", "provisioned"]


@CALLS
@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "application/json;charset=utf-8",
        "Application/JSON ; Charset=UTF-8",
        " application/json; x=y",
    ],
)
async def test_json_is_taken_however_it_is_announced(rig: Rig, method: str, path: str, kind: str) -> None:
    answer = await sent(rig, f"{method} {path} HTTP/1.1", b"{", **{"Content-Type": kind})
    assert answer.status == 400, "the body is found to be half a JSON, and so it was looked at"


@CALLS
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", "text/json"])
async def test_another_content_type_is_415(rig: Rig, method: str, path: str, kind: str) -> None:
    answer = await rig.call(method, path, b"{}", {"Content-Type": kind})
    assert answer.status == 415
    assert is_vendors(answer, path)


@CALLS
async def test_page_of_another_machine_and_body_that_is_too_large_are_refused(rig: Rig, method: str, path: str) -> None:
    page = await rig.call(method, path, b"{}", {"Origin": "http://example.com"})
    large = await rig.call(method, path, b" " * 70_000)
    assert (page.status, large.status) == (403, 413)
    assert is_vendors(page, path)
    assert is_vendors(large, path)


async def test_body_for_nothing_that_is_served_is_not_looked_at(rig: Rig) -> None:
    for path in ("/v2/p/apic/instances/i/apis", f"{BASE}/devices/1/shadow"):
        answer = await rig.call("POST", path, b"{}", {"Content-Type": "text/plain"})
        assert (answer.status, answer.body["error_msg"]) == (404, "Not Found")
        assert is_vendors(answer, path)


TARGETS = [
    ("GET", "/v2/", 404),
    ("GET", "/v2/p/apic/instances/i/apis", 404),
    ("GET", f"{BASE}/nowhere", 404),
    ("GET", f"{BASE}/devices/", 404),
    ("GET", f"{BASE}/devices/1%2F2", 404),
    ("GET", f"{BASE}/devices/1%00", 400),
    ("GET", f"{BASE}/devices/%FF", 400),
    ("GET", f"{BASE}/devices/..%2f..", 404),
    ("PATCH", f"{BASE}/devices/1", 405),
    ("OPTIONS", f"{BASE}/devices/1", 405),
    ("TRACE", f"{BASE}/devices", 405),
    ("PROPFIND", AUTHENTICATION, 405),
    ("GET", "http://127.0.0.1" + AUTHENTICATION, 404),
    ("GET", "/v5/iot/p/devices/%00", 404),
    ("GET", "/v5/iot/p/devices/a%2Fb", 404),
    ("OPTIONS", "/v5/iot/p/devices", 405),
    ("PROPFIND", "/_platform", 405),
    ("GET", "http://127.0.0.1/nowhere", 404),
    ("GET", "/v2", 404),
    ("GET", "/v20/p", 404),
    ("OPTIONS", "*", 404),
    ("BREW", AUTHENTICATION, 400),
    ("GET", "http://127.0.0.1", 400),
    ("CONNECT", "127.0.0.1:1", 400),
]


@pytest.mark.parametrize(("method", "target", "status"), TARGETS)
async def test_target_that_is_not_served_gets_the_body_of_its_family(
    rig: Rig, method: str, target: str, status: int
) -> None:
    answer = await sent(rig, f"{method} {target} HTTP/1.1")
    assert answer.status == status, answer
    is_read = status != 400 or "%" in target
    path = target.removeprefix("http://127.0.0.1") if is_read else ""
    assert is_vendors(answer, path)


async def test_head_gets_the_status_and_an_id_without_a_body(rig: Rig) -> None:
    for path, status in ((AUTHENTICATION, 405), (f"{BASE}/nowhere", 404), ("/nowhere", 404)):
        answer = await sent(rig, f"HEAD {path} HTTP/1.1")
        assert (answer.status, answer.body) == (status, None)
        assert answer.headers["x-request-id"]


@pytest.mark.parametrize(("path", "count"), [(AUTHENTICATION, 3), ("/_platform", 2)])
async def test_spoilt_header_is_400_in_the_family_of_the_path_that_was_read(rig: Rig, path: str, count: int) -> None:
    _, text = await raw(rig, f"GET {path} HTTP/1.1\r\nHost: x\r\nno header\r\n\r\n".encode())
    answer = split(text)
    assert (answer.status, len(answer.body)) == (400, count)
    assert is_vendors(answer, path)


@pytest.mark.parametrize("path", [f"{BASE}/devices", RESET])
async def test_body_that_breaks_off_is_no_error_of_ours(
    rig: Rig, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    _, text = await raw(rig, head.encode() + b"1\r\n{\r\nno size\r\n")
    answer = split(text)
    assert answer.status == 400
    assert is_vendors(answer, path)
    assert (await rig.statistics())["internal_errors"] == 0
    assert capsys.readouterr().err == ""


async def test_our_own_crash_is_500_and_says_nothing_of_it(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(RomaLink, "reset_device", broken)
    monkeypatch.setattr(Rotation, "reset_secret", broken)
    for method, path in (("PUT", AUTHENTICATION), ("POST", RESET)):
        answer = await rig.call(method, path, {})
        assert answer.status == 500
        assert is_vendors(answer, path)
        assert "bug" not in answer.body["error_msg"]
    assert "a bug of ours" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "headers", "refused"),
    [
        ({"token": "t"}, {}, {"/v2/": (400, "SCB.00000000"), "/v5/": (401, "IOTDA.000002")}),
        ({"token": "t"}, {"X-Auth-Token": "x"}, {"/v2/": (401, "APIGW.0301"), "/v5/": (401, "IOTDA.000002")}),
        (
            {"access_key": "a", "secret_key": "s"},
            {},
            {"/v2/": (401, "APIGW.0301"), "/v5/": (401, "APIGW.0301")},
        ),
        ({"project_id": "p1"}, {}, {"/v2/": (500, "ROMA.00110002"), "/v5/": (403, "IOTDA.000021")}),
    ],
    ids=["no token", "wrong token", "no signature", "another's project"],
)
async def test_stranger_is_refused_in_the_words_of_the_api(
    tmp_path: Path, settings: dict[str, Any], headers: dict[str, str], refused: dict[str, tuple[int, str]]
) -> None:
    async with running(tmp_path, **settings) as rig:
        for method, path in (("PUT", "/v2/p/link/instances/i/devices/1/authentication"), ("POST", RESET)):
            answer = await rig.call(method, path, {}, headers)
            assert (answer.status, answer.body["error_code"]) == refused[path[:4]]
            assert is_vendors(answer, path)
