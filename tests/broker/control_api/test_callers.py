"""Who may call a platform that wants a token, a signature, or either of them."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from broker.rotation import Rotation
from broker.settings import Settings
from tests.broker.control_api.test_app import raw
from tests.broker.control_api.test_guard import is_vendors
from tests.broker.rig import PRIMARY, FakeClock, Rig, running

SIGNED = json.loads((Path(__file__).parents[2] / "vectors/aksk.json").read_text())
VECTORS = {f"{one['name']}, {'derived' if one['derived'] else 'plain'}": one for one in SIGNED["vectors"]}
RESET, PAYLOAD = VECTORS["reset, plain"], VECTORS["unsigned payload, plain"]
KEYS = {"access_key": SIGNED["access_key"], "secret_key": SIGNED["secret_key"]}
TOKEN = {"X-Auth-Token": "open-sesame"}
STALE_S = 15 * 60 + 1


@pytest.fixture
async def rig(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Rig]:
    """A platform that takes signatures, at the time at which the vectors were signed, and a token."""
    async with running(tmp_path, clock, **KEYS, token="open-sesame") as rig:
        line = json.dumps({"device_id": "d1", "primary": PRIMARY}).encode()
        assert (await rig.call("POST", "/_platform/devices", line, TOKEN)).status == 200
        yield rig


def wire(vector: dict[str, Any], body: bytes | None = None, **headers: str) -> bytes:
    """Spell out a request of the vendor's library as it goes over the wire, with other headers or another body."""
    sent = {**vector["headers"], "Connection": "close", **{name.replace("_", "-"): headers[name] for name in headers}}
    content = vector["body"].encode() if body is None else body
    target = f"{vector['path']}?{vector['query']}"
    lines = [f"{vector['method']} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
    return "\r\n".join((*lines, f"Content-Length: {len(content)}", "", "")).encode() + content


@pytest.mark.parametrize("name", VECTORS)
async def test_what_the_vendors_library_signed_reaches_its_route(rig: Rig, name: str) -> None:
    status, answer = await raw(rig, wire(VECTORS[name]))
    assert status != 401, answer
    assert "APIGW.0301" not in answer


async def test_signed_reset_is_done_and_a_changed_one_is_not(rig: Rig) -> None:
    assert (await raw(rig, wire(RESET)))[0] == 200
    status, answer = await raw(rig, wire(RESET, body=b'{"secret_type": "SECONDARY"}'))
    assert status == 401
    assert "verify aksk signature fail" in answer
    assert [one["slot"] for one in rig.records("reset")] == ["primary"]


async def test_request_whose_route_reads_no_body_is_judged_by_its_body_too(rig: Rig) -> None:
    freeze = VECTORS["no body, no query, plain"]
    assert (await raw(rig, wire(freeze, body=b"{}")))[0] == 401
    assert rig.records("frozen") == []
    assert (await raw(rig, wire(freeze)))[0] == 204


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"Authorization": "Bearer x"}, "Authorization: expected SDK-HMAC-SHA256"),
        ({"X_Sdk_Date": "today"}, "X-Sdk-Date: expected"),
        ({"X_Sdk_Date": "20261121T193001Z"}, "verify aksk signature fail"),
        ({"Host": "elsewhere"}, "verify aksk signature fail"),
    ],
)
async def test_refusal_names_what_is_wrong(rig: Rig, headers: dict[str, str], told: str) -> None:
    status, answer = await raw(rig, wire(RESET, **headers))
    assert status == 401
    assert '"error_code":"APIGW.0301","error_msg":"Incorrect IAM authentication information: ' in answer
    assert told in answer
    assert "x-request-id: " in answer


async def test_signature_is_stale_after_fifteen_minutes_of_the_platforms_clock(rig: Rig, clock: FakeClock) -> None:
    clock.put_forward(STALE_S)
    status, answer = await raw(rig, wire(RESET))
    assert status == 401
    assert "signature expired,server time:20261121T194501Z" in answer


async def test_nobody_else_is_let_in_anywhere(rig: Rig) -> None:
    for method, path in (("GET", "/_platform"), ("GET", "/_platform/journal"), ("POST", "/_platform/shutdown")):
        assert is_vendors(await rig.call(method, path), 401, "APIGW.0301")
        assert is_vendors(await rig.call(method, path, headers={"X-Auth-Token": "open"}), 401, "IOTDA.000002")
    assert is_vendors(await rig.reset(), 401, "APIGW.0301")
    assert not rig.platform.stop_asked.is_set()


async def test_token_or_signature_is_enough(rig: Rig) -> None:
    assert (await rig.call("GET", "/_platform", headers=TOKEN)).status == 200
    assert (await raw(rig, wire(RESET, X_Auth_Token="wrong")))[0] == 200
    assert (await raw(rig, wire(RESET, Authorization="", X_Auth_Token="open-sesame")))[0] == 200


async def test_token_is_nothing_to_a_platform_that_wants_signatures(tmp_path: Path) -> None:
    async with running(tmp_path, **KEYS) as rig:
        for token in ("", "open-sesame", "None"):
            answer = await rig.call("GET", "/_platform", headers={"X-Auth-Token": token})
            assert is_vendors(answer, 401, "APIGW.0301")


async def test_secrets_are_told_to_a_signed_call_under_any_name(rig: Rig) -> None:
    named = {"Host": "platform.example.org", **TOKEN}
    assert (await rig.call("GET", "/_platform/devices?secrets=true", headers=named)).status == 200


async def test_large_body_comes_to_its_route_whole(rig: Rig) -> None:
    lines = [json.dumps({"device_id": f"n{number}", "primary": PRIMARY}) for number in range(5000)]
    status, answer = await raw(rig, wire(PAYLOAD, body="\n".join(lines).encode()))
    assert status == 200
    assert answer.endswith('{"provisioned":5000}')


async def test_too_large_body_in_chunks_is_413(rig: Rig) -> None:
    head = wire(RESET, body=b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    chunk = b"%x\r\n%b\r\n" % (33 << 10, b" " * (33 << 10))
    assert (await raw(rig, head + chunk + chunk))[0] == 413


async def test_caller_that_leaves_before_its_body_has_ended_changes_nothing(rig: Rig) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", rig.platform.http_port)
    writer.write(wire(RESET)[:-5])
    writer.close()
    await writer.wait_closed()
    assert (await rig.call("GET", "/_platform/statistics", headers=TOKEN)).body["internal_errors"] == 0
    assert rig.records("reset") == []


async def test_neither_key_nor_signature_is_ever_told(
    rig: Rig, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug of ours")

    answers = [(await raw(rig, wire(one)))[1] for one in VECTORS.values()]
    answers += [(await raw(rig, wire(RESET, body=b"{}")))[1], (await raw(rig, wire(RESET, X_Sdk_Date="?")))[1]]
    monkeypatch.setattr(Rotation, "reset_secret", broken)
    answers.append((await raw(rig, wire(RESET)))[1])
    clock.put_forward(STALE_S)
    answers.append((await raw(rig, wire(RESET)))[1])
    described = [(await rig.call("GET", f"/_platform{path}", headers=TOKEN)).body for path in ("", "/statistics")]
    said = "".join(map(str, (*answers, *described, rig.records(), *capsys.readouterr())))
    said += repr(rig.platform.settings) + repr(Settings(**KEYS))
    assert "a bug of ours" in said
    signatures = {one["headers"]["Authorization"].rpartition("=")[2] for one in VECTORS.values()}
    assert [canary for canary in (*KEYS.values(), *signatures) if canary in said] == []
