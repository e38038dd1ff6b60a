"""Commands: sent to the live session, answered by the device, journalled without their content."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.broker.rig import Answer, Client, Rig
from wire.mqtt import PingReq, PingResp, PubAck, Publish

PATH = "/_platform/devices/d1/commands"


async def receive_command(client: Client) -> tuple[str, Any]:
    """Return the request id and the body of the next command."""
    packet = await client.receive()
    assert isinstance(packet, Publish)
    prefix = "$oc/devices/d1/sys/commands/request_id="
    assert packet.topic.startswith(prefix)
    return packet.topic.removeprefix(prefix), json.loads(packet.payload)


def answer_topic(request_id: str) -> str:
    return f"$oc/devices/d1/sys/commands/response/request_id={request_id}"


async def test_command_reaches_the_device_and_its_answer_the_caller(rig: Rig) -> None:
    async with await rig.login() as client, asyncio.TaskGroup() as tasks:
        body = {"command_name": "set_secret", "service_id": "keys", "paras": {"slot": "primary", "seq": 7}}
        call: asyncio.Task[Answer] = tasks.create_task(rig.call("POST", PATH, body))
        request_id, received = await receive_command(client)
        assert received == body
        client.send(Publish(answer_topic(request_id), b'{"result_code": 0, "paras": {"ok": true}}', 1, 1))
        answer = await call
    assert answer.status == 200
    assert answer.body == {"request_id": request_id, "response": {"result_code": 0, "paras": {"ok": True}}}
    sent, answered = rig.records("command")[0], rig.records("answered")[0]
    assert (sent["request_id"], sent["name"], sent["seq"]) == (request_id, "set_secret", 7)
    assert (answered["request_id"], answered["result_code"]) == (request_id, 0)


async def test_answers_find_their_own_callers(rig: Rig) -> None:
    async with await rig.login() as client, asyncio.TaskGroup() as tasks:
        calls = [tasks.create_task(rig.call("POST", PATH, {"command_name": f"c{number}"})) for number in range(3)]
        got = [await receive_command(client) for _ in calls]
        for request_id, body in reversed(got):
            client.send(Publish(answer_topic(request_id), json.dumps({"name": body["command_name"]}).encode()))
        names = [(await call).body["response"]["name"] for call in calls]
    assert names == ["c0", "c1", "c2"]


async def test_offline_device_is_403(rig: Rig) -> None:
    answer = await rig.call("POST", PATH, {"command_name": "c"})
    assert (answer.status, answer.body["error_code"]) == (403, "IOTDA.014016")


async def test_unknown_device_is_404(rig: Rig) -> None:
    answer = await rig.call("POST", "/_platform/devices/nobody/commands", {"command_name": "c"})
    assert (answer.status, answer.body["error_code"]) == (404, "IOTDA.014000")


async def test_silent_device_is_504_and_its_late_answer_is_only_journalled(rig: Rig) -> None:
    async with await rig.login() as client:
        answer = await rig.call("POST", PATH, {"command_name": "c", "timeout": 0.01})
        assert (answer.status, answer.body["error_code"]) == (504, "IOTDA.014111")
        request_id, _ = await receive_command(client)
        client.send(Publish(answer_topic(request_id), b'{"result_code": 0}', 1, 1))
        await client.receive()
        assert rig.records("answered")[0]["request_id"] == request_id


async def test_session_that_ends_leaves_no_caller_waiting(rig: Rig) -> None:
    async with await rig.login() as client, asyncio.TaskGroup() as tasks:
        call: asyncio.Task[Answer] = tasks.create_task(rig.call("POST", PATH, {"command_name": "c"}))
        await receive_command(client)
        await rig.reset(force_disconnect=True)
        answer = await call
    assert (answer.status, answer.body["error_code"]) == (403, "IOTDA.014016")


async def test_answer_that_is_no_json_is_passed_on_as_null(rig: Rig) -> None:
    async with await rig.login() as client, asyncio.TaskGroup() as tasks:
        call: asyncio.Task[Answer] = tasks.create_task(rig.call("POST", PATH, {"command_name": "c"}))
        request_id, _ = await receive_command(client)
        client.send(Publish(answer_topic(request_id), b"\xff\xfe"))
        assert (await call).body["response"] is None
    assert rig.records("answered")[0]["result_code"] is None


DEEP = b"[" * 400 + b"]" * 400


@pytest.mark.parametrize("result_code", [DEEP, b"1" + b"0" * 26, b'"canary"', b'{"secret": "canary"}', b"true"])
async def test_what_a_device_says_for_a_result_code_neither_stops_the_journal_nor_gets_into_it(
    rig: Rig, tmp_path: Path, result_code: bytes
) -> None:
    async with await rig.login() as client:
        client.send(Publish(answer_topic("any"), b'{"result_code": %b}' % result_code, 1, 1))
        assert await client.receive() == PubAck(1)
    assert [one["result_code"] for one in rig.records("answered")] == [None]
    assert "canary" not in (tmp_path / "platform.jsonl").read_text(encoding="utf-8")
    await rig.record("detached", device="d1")
    assert (await rig.statistics())["internal_errors"] == 0


@pytest.mark.parametrize("seq", [b'"canary"', b'{"secret": "canary"}', b"1.5", b"true", b"9223372036854775808"])
async def test_seq_that_is_no_plain_integer_is_journalled_as_null(rig: Rig, tmp_path: Path, seq: bytes) -> None:
    async with await rig.login():
        body = b'{"command_name": "c", "paras": {"seq": %b}, "timeout": 0.01}' % seq
        assert (await rig.call("POST", PATH, body)).status == 504
    assert [one["seq"] for one in rig.records("command")] == [None]
    assert "canary" not in (tmp_path / "platform.jsonl").read_text(encoding="utf-8")


@pytest.mark.parametrize("value", [b"1" + b"0" * 26, DEEP], ids=["large", "deep"])
async def test_paras_that_cannot_be_sent_are_400_and_nothing_is_sent_or_journalled(rig: Rig, value: bytes) -> None:
    async with await rig.login() as client:
        answer = await rig.call("POST", PATH, b'{"command_name": "c", "paras": {"seq": %b}}' % value)
        assert answer.status == 400
        client.send(PingReq())
        assert await client.receive() == PingResp()
    assert rig.records("command") == []
    assert (await rig.statistics())["internal_errors"] == 0
