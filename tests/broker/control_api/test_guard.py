"""What is turned away before any route sees it: bodies that are too large, bodies of web pages, web pages."""

import asyncio

import pytest

from tests.broker.control_api.test_app import raw
from tests.broker.rig import DEADLINE_S, PRIMARY, Answer, Rig

RESET = "/v5/iot/p/devices/d1/action?action_id=resetSecret"
DEVICES = "/_platform/devices"
KIB = 1024


def is_vendors(answer: Answer, status: int, code: str) -> bool:
    assert answer.headers["x-request-id"]
    assert set(answer.body) == {"error_code", "error_msg"}
    return (answer.status, answer.body["error_code"]) == (status, code)


def padded(size: int) -> bytes:
    return b'{"force_disconnect": false' + b" " * (size - 27) + b"}"


async def test_body_of_64_kib_is_taken_and_one_byte_more_is_413(rig: Rig) -> None:
    assert (await rig.call("POST", RESET, padded(64 * KIB))).status == 200
    assert is_vendors(await rig.call("POST", RESET, padded(64 * KIB + 1)), 413, "IOTDA.000008")
    command = "/_platform/devices/d1/commands"
    assert is_vendors(await rig.call("POST", command, padded(64 * KIB + 1)), 413, "IOTDA.000008")
    assert len(rig.records("reset")) == 1


async def test_provisioning_takes_16_mib_and_no_more(rig: Rig) -> None:
    line = b'{"device_id": "d2", "primary": "%b"}' % PRIMARY.encode()
    full = line + b"\n" * (16 * KIB * KIB - len(line))
    for body, status in ((full, 200), (full + b"\n", 413)):
        assert await first_status(rig, head(f"Content-Length: {len(body)}", path=DEVICES), body) == status


def head(*lines: str, path: str = RESET) -> bytes:
    fixed = (f"POST {path} HTTP/1.1", "Host: x", "Content-Type: application/json")
    return "\r\n".join((*fixed, *lines, "", "")).encode()


async def first_status(rig: Rig, *pieces: bytes) -> int:
    """Send a request, or the beginning of one; return the status that comes without waiting for more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.platform.http_port)
    for piece in pieces:
        writer.write(piece)
    async with asyncio.timeout(DEADLINE_S):
        line = await reader.readline()
    writer.transport.abort()
    return int(line.split()[1])


async def test_announced_body_is_refused_before_it_is_sent(rig: Rig) -> None:
    assert await first_status(rig, head("Content-Length: 99999999999")) == 413


async def test_body_in_chunks_is_refused_when_it_is_too_large_and_not_at_its_end(rig: Rig) -> None:
    chunk = b"%x\r\n%b\r\n" % (33 * KIB, b" " * 33 * KIB)
    assert await first_status(rig, head("Transfer-Encoding: chunked"), chunk, chunk) == 413


async def test_connection_serves_the_next_request_after_a_body_that_was_too_large(rig: Rig) -> None:
    refused = head(f"Content-Length: {KIB * KIB}") + b" " * KIB * KIB
    following = head("Content-Length: 2", "Connection: close") + b"{}"
    status, answer = await raw(rig, refused + following)
    assert status == 413
    assert "HTTP/1.1 200 OK" in answer


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/x-ndjson", "json"]
)
async def test_body_of_another_type_is_415_and_changes_nothing(rig: Rig, kind: str) -> None:
    answer = await rig.call("POST", RESET, b"{}", {"Content-Type": kind})
    assert is_vendors(answer, 415, "IOTDA.000008")
    assert rig.records("reset") == []


@pytest.mark.parametrize(
    "kind", ["application/json", "application/json;charset=UTF-8", "Application/JSON ; charset=utf-8"]
)
async def test_json_is_taken_however_it_is_spelt(rig: Rig, kind: str) -> None:
    assert (await rig.call("POST", RESET, b"{}", {"Content-Type": kind})).status == 200


async def test_body_without_a_type_and_type_without_a_body_are_taken(rig: Rig) -> None:
    request = f"POST {RESET} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{{}}"
    assert (await raw(rig, request.encode()))[0] == 200
    assert (await rig.call("POST", RESET, b"", {"Content-Type": "text/plain"})).status == 200


async def test_lines_of_json_are_for_provisioning(rig: Rig) -> None:
    answer = await rig.call("POST", DEVICES, b"", {"Content-Type": "application/x-ndjson"})
    assert answer.status == 200
    line = b'{"device_id": "d2", "primary": "%b"}' % PRIMARY.encode()
    assert (await rig.call("POST", DEVICES, line, {"Content-Type": "application/x-ndjson"})).status == 200
    assert (await rig.call("POST", DEVICES, line, {"Content-Type": "text/plain"})).status == 415


@pytest.mark.parametrize(
    "origin", ["https://example.org", "null", "http://127.0.0.1.example.org", "http://[::1", "file://", "localhost"]
)
async def test_web_page_from_elsewhere_is_403_whatever_it_asks(rig: Rig, origin: str) -> None:
    for method, path in (("POST", RESET), ("GET", "/_platform/journal"), ("POST", "/_platform/shutdown")):
        answer = await rig.call(method, path, headers={"Origin": origin})
        assert is_vendors(answer, 403, "IOTDA.000022")
    assert rig.records("reset") == []
    assert not rig.platform.stop_asked.is_set()


@pytest.mark.parametrize("origin", ["http://127.0.0.1:3000", "http://localhost", "https://[::1]:8443"])
async def test_web_page_of_this_machine_is_served(rig: Rig, origin: str) -> None:
    assert (await rig.call("GET", "/_platform", headers={"Origin": origin})).status == 200
