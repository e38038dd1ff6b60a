"""Messages, commands and properties as the vendor's API has them, with a bare MQTT client as the device."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.broker.rig import BOTH_VERSIONS, Answer, Client, FakeClock, Rig, connect, running
from tests.broker.test_stored import enter, leave, persistent
from wire.mqtt import PingReq, PingResp, Properties, PubAck, Publish, SubAck, Subscribe

DEVICE = "/v5/iot/p/devices/d1"
MESSAGES, COMMANDS, PROPERTIES = f"{DEVICE}/messages", f"{DEVICE}/commands", f"{DEVICE}/properties"
DOWN = "$oc/devices/d1/sys/messages/down"


@pytest.fixture
async def still(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Rig]:
    """A platform whose clock stands still, and whose callers wait for a device for the twinkling of an eye."""
    async with running(tmp_path, clock, answer_timeout_s=0.01) as rig:
        await rig.provision("d1")
        yield rig


async def post(rig: Rig, message: object = "x", **fields: object) -> dict[str, Any]:
    """Send a message that is taken; returns its id with the result."""
    answer = await rig.call("POST", MESSAGES, {"message": message, **fields})
    assert answer.status == 201, answer
    return {"message_id": answer.body["message_id"], **answer.body["result"]}


async def status(rig: Rig, message_id: str) -> str:
    return str((await rig.call("GET", f"{MESSAGES}/{message_id}")).body["status"])


async def downlinks(client: Client) -> list[Publish]:
    """Return what has come down by now, and acknowledge it."""
    client.send(PingReq())
    got = []
    while (packet := await client.receive()) != PingResp():
        assert isinstance(packet, Publish), packet
        got.append(packet)
        if packet.qos:
            client.send(PubAck(packet.packet_id))
    return got


async def subscribe(client: Client, *filters: tuple[str, int]) -> None:
    client.send(Subscribe(1, filters))
    assert await client.receive() == SubAck(1, tuple(qos for _, qos in filters))


@BOTH_VERSIONS
async def test_message_goes_down_in_the_vendors_form(still: Rig, level: int) -> None:
    async with await still.login(connect(level=level)) as client:
        result = await post(still, "hello", message_id="m-1", name="greeting")
        (got,) = await downlinks(client)
    assert result == {
        "message_id": "m-1",
        "status": "DELIVERED",
        "created_time": "20261121T193000Z",
        "finished_time": "20261121T193000Z",
    }
    assert (got.topic, got.qos) == (DOWN, 0)
    assert json.loads(got.payload) == {"name": "greeting", "id": "m-1", "content": "hello"}


async def test_id_is_made_if_none_is_given(rig: Rig) -> None:
    async with await rig.login() as client:
        made = [(await post(rig))["message_id"] for _ in range(2)]
        assert [json.loads(one.payload)["id"] for one in await downlinks(client)] == made
    assert len(set(made)) == 2


@pytest.mark.parametrize(
    ("fields", "payload"),
    [
        ({"message": "plain", "payload_format": "raw"}, b"plain"),
        ({"message": {"a": [1, None]}, "payload_format": "raw"}, b'{"a":[1,null]}'),
        ({"message": [1], "payload_format": "raw", "encoding": "none"}, b"[1]"),
        ({"message": base64.b64encode(b"\0\xff").decode(), "encoding": "base64"}, b"\0\xff"),
        ({"message": "AA==", "encoding": "base64", "payload_format": "standard"}, b"\0"),
        ({"message": {"a": 1}, "message_id": "m", "name": None}, b'{"id":"m","content":{"a":1}}'),
    ],
    ids=str,
)
async def test_payload_is_what_was_asked_for(rig: Rig, fields: dict[str, object], payload: bytes) -> None:
    async with await rig.login() as client:
        await post(rig, **fields)
        assert [one.payload for one in await downlinks(client)] == [payload]


async def test_device_of_mqtt_5_gets_the_properties(rig: Rig) -> None:
    properties = {
        "correlation_data": "c-1",
        "response_topic": "answers/here",
        "user_properties": [{"prop_key": "k", "prop_value": "v 1"}, {"prop_key": "k", "prop_value": "值"}],
    }
    async with await rig.login(connect(level=5)) as client:
        sent = await post(rig, properties=properties)
        (got,) = await downlinks(client)
    assert got.properties == Properties(
        correlation_data=b"c-1", response_topic="answers/here", user_property=(("k", "v 1"), ("k", "值"))
    )
    shown = (await rig.call("GET", f"{MESSAGES}/{sent['message_id']}")).body
    assert shown["properties"] == properties


async def test_messages_for_a_device_that_is_away_come_in_order_with_its_next_connect_and_once(rig: Rig) -> None:
    sent = [await post(rig, str(number)) for number in range(3)]
    assert [one["status"] for one in sent] == ["PENDING"] * 3
    assert all("finished_time" not in one for one in sent)
    async with await rig.login() as client:
        assert [json.loads(one.payload)["content"] for one in await downlinks(client)] == ["0", "1", "2"]
        assert [await status(rig, one["message_id"]) for one in sent] == ["DELIVERED"] * 3
        await subscribe(client, ("$oc/devices/d1/sys/#", 1), (DOWN, 1))
        assert await downlinks(client) == []
    async with await rig.login() as client:
        assert await downlinks(client) == []
    assert [one["queued"] for one in rig.records("downlink")] == [True] * 3
    delivered = [(one["message_id"], one["status"]) for one in rig.records("message")]
    assert delivered == [(one["message_id"], "DELIVERED") for one in sent]


@pytest.mark.parametrize("clean", [False, True])
async def test_messages_wait_for_a_device_with_stored_state_too(rig: Rig, clean: bool) -> None:
    await leave(rig, (await enter(rig, persistent(5)))[0])
    await post(rig, "kept", payload_format="raw")
    client, _ = await enter(rig, persistent(5, clean=clean))
    async with client:
        assert [one.payload for one in await downlinks(client)] == [b"kept"]


async def test_twenty_messages_are_kept_and_the_oldest_go(rig: Rig) -> None:
    for number in range(22):
        await post(rig, str(number), message_id=f"m{number}", payload_format="raw")
    listed = (await rig.call("GET", MESSAGES)).body
    assert listed["device_id"] == "d1"
    assert [one["message_id"] for one in listed["messages"]] == [f"m{number}" for number in range(2, 22)]
    assert [one["reason"] for one in rig.records("dropped")] == ["queue_full"] * 2
    assert (await rig.statistics())["dropped_queue_full"] == 2
    async with await rig.login() as client:
        assert [one.payload for one in await downlinks(client)] == [b"%d" % number for number in range(2, 22)]
    assert (await rig.call("GET", f"{MESSAGES}/m0")).body == {}


async def test_delivered_message_that_goes_for_a_new_one_is_no_loss(rig: Rig) -> None:
    async with await rig.login() as client:
        for _ in range(21):
            await post(rig)
        assert len(await downlinks(client)) == 21
    assert (await rig.statistics())["dropped_queue_full"] == 0
    assert rig.records("dropped") == []


async def test_message_times_out_when_its_ttl_is_over(still: Rig, clock: FakeClock) -> None:
    await post(still, message_id="short", ttl=5.0)
    await post(still, message_id="long")
    clock.advance(300)
    shown = (await still.call("GET", f"{MESSAGES}/short")).body
    assert (shown["status"], shown["finished_time"]) == ("TIMEOUT", "20261121T193500Z")
    assert await status(still, "long") == "PENDING"
    clock.advance(86_400 - 301)
    assert await status(still, "long") == "PENDING"
    clock.put_forward(1)
    async with await still.login(connect(hour="2026112219")) as client:
        assert await downlinks(client) == []
    assert await status(still, "long") == "TIMEOUT"
    assert [one["status"] for one in still.records("message")] == ["TIMEOUT"] * 2


async def test_message_that_must_not_wait_fails_when_the_device_is_away(still: Rig) -> None:
    assert (await post(still, message_id="m", ttl=0))["status"] == "FAILED"
    shown = (await still.call("GET", f"{MESSAGES}/m")).body
    assert shown["error_info"] == {"error_code": "IOTDA.014016", "error_msg": "The device is not online."}
    assert still.records("downlink") == []
    async with await still.login() as client:
        assert (await post(still, ttl=0))["status"] == "DELIVERED"
        assert len(await downlinks(client)) == 1


async def test_unacknowledged_message_comes_again_in_the_next_session(rig: Rig) -> None:
    async with await rig.login() as client:
        await subscribe(client, (DOWN, 1))
        await post(rig, "once more", message_id="m", payload_format="raw")
        assert isinstance(await client.receive(), Publish)
        assert await status(rig, "m") == "DELIVERED"
        await rig.reset(force_disconnect=True, secret_type="SECONDARY")
        await client.rest()
    assert await status(rig, "m") == "PENDING"
    async with await rig.login() as client:
        assert [one.payload for one in await downlinks(client)] == [b"once more"]
    assert await status(rig, "m") == "DELIVERED"


async def test_unacknowledged_message_outlives_the_stored_state_that_held_it(rig: Rig) -> None:
    client, _ = await enter(rig, persistent(5))
    await subscribe(client, (DOWN, 1))
    await post(rig, "once more", payload_format="raw")
    assert isinstance(await client.receive(), Publish)
    await leave(rig, client)
    client, _ = await enter(rig, persistent(5, clean=True))
    async with client:
        assert [one.payload for one in await downlinks(client)] == [b"once more"]


async def test_acknowledged_message_does_not_come_again(rig: Rig) -> None:
    async with await rig.login() as client:
        await subscribe(client, (DOWN, 1))
        await post(rig)
        assert [one.qos for one in await downlinks(client)] == [1]
        assert await downlinks(client) == []
    async with await rig.login() as client:
        assert await downlinks(client) == []


CUSTOM = [({"topic": "news"}, "$oc/devices/d1/user/news"), ({"topic_full_name": "all/news"}, "all/news")]


@pytest.mark.parametrize(("fields", "topic"), CUSTOM, ids=["own", "full"])
async def test_message_on_a_custom_topic_needs_a_subscription(rig: Rig, fields: dict[str, str], topic: str) -> None:
    async with await rig.login() as client:
        assert (await post(rig, message_id="m", **fields))["status"] == "FAILED"
        shown = (await rig.call("GET", f"{MESSAGES}/m")).body
        assert shown["topic"] == topic
        assert shown["error_info"]["error_code"] == "IOTDA.014112"
        await subscribe(client, (f"{topic.rpartition('/')[0]}/#", 0), (topic, 1))
        assert (await post(rig, **fields))["status"] == "DELIVERED"
        assert [(one.topic, one.qos) for one in await downlinks(client)] == [(topic, 1)]


@pytest.mark.parametrize(("fields", "topic"), CUSTOM, ids=["own", "full"])
async def test_message_on_a_custom_topic_waits_for_the_subscription(
    rig: Rig, fields: dict[str, str], topic: str
) -> None:
    await post(rig, "custom", message_id="m", payload_format="raw", **fields)
    await post(rig, "system", payload_format="raw")
    async with await rig.login() as client:
        assert [one.payload for one in await downlinks(client)] == [b"system"]
        assert await status(rig, "m") == "PENDING"
        await subscribe(client, (topic, 0))
        assert [one.payload for one in await downlinks(client)] == [b"custom"]
        await subscribe(client, (topic, 0))
        assert await downlinks(client) == []


async def test_message_waits_on_when_the_subscription_is_the_sessions_end(tmp_path: Path) -> None:
    async with running(tmp_path, strict_topics=True) as rig:
        await rig.provision("d1")
        await post(rig, message_id="m", topic="news")
        async with await rig.login() as client:
            client.send(Subscribe(1, (("$oc/devices/d1/user/#", 0), ("$oc/devices/d2/#", 0))))
            await client.rest()
        assert await status(rig, "m") == "PENDING"


async def test_message_too_large_for_the_device_has_failed(rig: Rig) -> None:
    client, _ = await enter(rig, connect(level=5, properties=Properties(maximum_packet_size=64)))
    async with client:
        assert (await post(rig, "x" * 100, message_id="m"))["status"] == "FAILED"
    assert "error_info" not in (await rig.call("GET", f"{MESSAGES}/m")).body


async def test_largest_message_goes_down_and_a_larger_one_is_refused(rig: Rig) -> None:
    largest = 256 << 10
    async with await rig.login() as client:
        await post(rig, "x" * largest, payload_format="raw")
        await post(rig, base64.b64encode(b"x" * largest).decode(), encoding="base64")
        assert [len(one.payload) for one in await downlinks(client)] == [largest] * 2
    answer = await rig.call("POST", MESSAGES, {"message": "x" * (largest + 1), "payload_format": "raw"})
    assert (answer.status, answer.body["error_code"]) == (400, "IOTDA.000006")


async def test_message_is_shown_as_it_was_asked_for(still: Rig) -> None:
    await post(still, {"a": 1}, message_id="m", name="n", encoding="none", payload_format="raw", topic="t")
    expected = {
        "message_id": "m",
        "name": "n",
        "message": {"a": 1},
        "encoding": "none",
        "payload_format": "raw",
        "topic": "$oc/devices/d1/user/t",
        "status": "PENDING",
        "created_time": "20261121T193000Z",
    }
    assert (await still.call("GET", f"{MESSAGES}/m")).body == expected
    assert (await still.call("GET", MESSAGES)).body == {"device_id": "d1", "messages": [expected]}


async def test_messages_of_a_frozen_device_wait_until_it_may_come_in(rig: Rig) -> None:
    await rig.call("POST", f"{DEVICE}/freeze")
    await post(rig, "thaw", payload_format="raw")
    await rig.call("POST", f"{DEVICE}/unfreeze")
    async with await rig.login() as client:
        assert [one.payload for one in await downlinks(client)] == [b"thaw"]


async def test_deleted_message_neither_comes_nor_is_shown(rig: Rig) -> None:
    await post(rig, message_id="m")
    for _ in range(2):
        assert (await rig.call("DELETE", f"{MESSAGES}/m")).status == 204
    assert (await rig.call("GET", f"{MESSAGES}/m")).body == {}
    async with await rig.login() as client:
        assert await downlinks(client) == []
    assert [one["status"] for one in rig.records("message")] == ["DELETED"]


@pytest.mark.parametrize("online", [False, True])
async def test_deleted_device_takes_its_messages_along(rig: Rig, online: bool) -> None:
    if online:
        client = await rig.login()
        await subscribe(client, (DOWN, 1))
    await post(rig)
    assert (await rig.call("DELETE", DEVICE)).status == 204
    assert (await rig.call("GET", MESSAGES)).status == 404
    if online:
        client.writer.transport.abort()
    await rig.provision("d1")
    assert (await rig.call("GET", MESSAGES)).body == {"device_id": "d1", "messages": []}


async def test_number_in_a_raw_message_is_journalled_and_nothing_else_of_it(rig: Rig, tmp_path: Path) -> None:
    await post(rig, {"seq": 7, "secret": "canary"}, payload_format="raw", name="canary-name")
    (record,) = rig.records("downlink")
    assert (record["seq"], record["queued"]) == (7, True)
    async with await rig.login() as client:
        await downlinks(client)
    assert "canary" not in (tmp_path / "platform.jsonl").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"message": None},
        {"message": 7},
        {"message": "x", "message_id": "taken"},
        {"message": "x", "message_id": ""},
        {"message": "x", "message_id": "x" * 101},
        {"message": "x", "message_id": "a b"},
        {"message": "x", "name": "<n>"},
        {"message": "x", "name": "n" * 129},
        {"message": "x", "encoding": "gzip"},
        {"message": "x", "encoding": "base64"},
        {"message": {"a": 1}, "encoding": "base64"},
        {"message": "é", "encoding": "base64"},
        {"message": "x", "payload_format": "RAW"},
        {"message": "x", "ttl": 4},
        {"message": "x", "ttl": -5},
        {"message": "x", "ttl": 1445},
        {"message": "x", "ttl": "5"},
        {"message": "x", "topic": "a", "topic_full_name": "a"},
        {"message": "x", "topic": ""},
        {"message": "x", "topic": "a/#"},
        {"message": "x", "topic_full_name": "a/+/b"},
        {"message": "x", "topic_full_name": "a\0b"},
        {"message": "x", "topic_full_name": "é" * 65},
        {"message": "x", "topic_full_name": "$oc/devices/d2/sys/messages/down"},
        {"message": "x", "topic_full_name": "$SYS/broker"},
        {"message": "x", "properties": {"correlation_data": "a b"}},
        {"message": "x", "properties": {"response_topic": "a/#"}},
        {"message": "x", "properties": {"user_properties": [{"prop_key": "k", "prop_value": "v"}] * 21}},
        {"message": "x", "properties": {"user_properties": [{"prop_key": "k"}]}},
        {"message": [1 << 70], "payload_format": "raw"},
    ],
    ids=lambda body: json.dumps(body)[:70],
)
async def test_unfit_message_is_400_and_nothing_is_kept(rig: Rig, body: dict[str, object]) -> None:
    await post(rig, message_id="taken")
    answer = await rig.call("POST", MESSAGES, body)
    assert (answer.status, answer.body["error_code"]) == (400, "IOTDA.000006")
    assert answer.headers["x-request-id"]
    assert [one["message_id"] for one in (await rig.call("GET", MESSAGES)).body["messages"]] == ["taken"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "messages", {"message": "x"}),
        ("GET", "messages", None),
        ("GET", "messages/m", None),
        ("DELETE", "messages/m", None),
        ("POST", "commands", {"paras": {}}),
        ("GET", "properties?service_id=s", None),
        ("PUT", "properties", {"services": []}),
    ],
)
async def test_unknown_device_is_404(rig: Rig, method: str, path: str, body: object) -> None:
    answer = await rig.call(method, f"/v5/iot/p/devices/nobody/{path}", body)
    assert (answer.status, answer.body["error_code"]) == (404, "IOTDA.014000")


ASKED = [
    ("POST", COMMANDS, {"service_id": "s", "command_name": "ON", "paras": {"v": 1}}, "commands", "command_id"),
    ("GET", f"{PROPERTIES}?service_id=s", None, "properties/get", "request_id"),
    ("PUT", PROPERTIES, {"services": [{"service_id": "s", "properties": {"v": 1}}]}, "properties/set", "request_id"),
]
asked = pytest.mark.parametrize(("method", "path", "body", "exchange", "id_name"), ASKED, ids=lambda one: str(one)[:30])


@asked
@BOTH_VERSIONS
async def test_device_is_asked_and_its_answer_passed_on(
    rig: Rig, level: int, method: str, path: str, body: object, exchange: str, id_name: str
) -> None:
    said = {"result_code": 7, "result_desc": "as the device has it", "services": [{"service_id": "s"}]}
    async with await rig.login(connect(level=level)) as client, asyncio.TaskGroup() as tasks:
        call: asyncio.Task[Answer] = tasks.create_task(rig.call(method, path, body))
        got = await client.receive()
        assert isinstance(got, Publish)
        topic, _, request_id = got.topic.partition("/request_id=")
        assert topic == f"$oc/devices/d1/sys/{exchange}"
        assert json.loads(got.payload) == (body or {"service_id": "s"})
        for wrong in {"commands", "properties/get", "properties/set"} - {exchange}:
            client.send(Publish(f"$oc/devices/d1/sys/{wrong}/response/request_id={request_id}", b"{}"))
        client.send(Publish(f"{topic}/response/request_id={request_id}", json.dumps(said).encode()))
        answer = await call
    assert (answer.status, answer.body) == (200, {id_name: request_id, "response": said})
    answered = await rig.record("answered", request_id=request_id, result_code=7)
    assert answered["device"] == "d1"


@asked
async def test_silent_device_is_a_200_with_the_vendors_code(
    still: Rig, method: str, path: str, body: object, exchange: str, id_name: str
) -> None:
    async with await still.login() as client:
        answer = await still.call(method, path, body)
        got = await client.receive()
    assert isinstance(got, Publish)
    assert exchange in got.topic
    assert answer.status == 200
    assert answer.body.keys() == {id_name, "error_code", "error_msg"}
    assert answer.body["error_code"] == "IOTDA.014111"
    assert got.topic.endswith(f"/request_id={answer.body[id_name]}")


@asked
@pytest.mark.parametrize("frozen", [False, True])
async def test_device_that_is_away_is_403(
    rig: Rig, frozen: bool, method: str, path: str, body: object, exchange: str, id_name: str
) -> None:
    if frozen:
        await rig.call("POST", f"{DEVICE}/freeze")
    answer = await rig.call(method, path, body)
    assert (answer.status, answer.body["error_code"]) == (403, "IOTDA.014016")


@asked
async def test_session_that_ends_leaves_no_caller_waiting(
    rig: Rig, method: str, path: str, body: object, exchange: str, id_name: str
) -> None:
    async with await rig.login() as client, asyncio.TaskGroup() as tasks:
        call: asyncio.Task[Answer] = tasks.create_task(rig.call(method, path, body))
        await client.receive()
        await rig.reset(force_disconnect=True)
        assert (await call).body["error_code"] == "IOTDA.014016"


async def test_command_may_be_without_a_name_and_a_service(still: Rig) -> None:
    async with await still.login() as client:
        assert (await still.call("POST", COMMANDS, {"paras": {}})).status == 200
        got = await client.receive()
    assert isinstance(got, Publish)
    assert json.loads(got.payload) == {"paras": {}}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", COMMANDS, b"{}"),
        ("POST", COMMANDS, b'{"paras": "text"}'),
        ("POST", COMMANDS, b'{"paras": {}, "command_name": 7}'),
        ("POST", COMMANDS, b'{"paras": {}, "service_id": "%b"}' % (b"s" * 65)),
        ("POST", COMMANDS, b'{"paras": {"v": 1%b}}' % (b"0" * 26)),
        ("GET", PROPERTIES, None),
        ("GET", f"{PROPERTIES}?service_id=", None),
        ("GET", f"{PROPERTIES}?service_id={'s' * 65}", None),
        ("PUT", PROPERTIES, b"{}"),
        ("PUT", PROPERTIES, b'{"services": "text"}'),
        ("PUT", PROPERTIES, b'{"services": [1%b]}' % (b"0" * 26)),
    ],
)
async def test_unfit_request_is_400_and_the_device_hears_nothing(
    rig: Rig, method: str, path: str, body: bytes | None
) -> None:
    async with await rig.login() as client:
        answer = await rig.call(method, path, body)
        assert (answer.status, answer.body["error_code"]) == (400, "IOTDA.000006")
        assert await downlinks(client) == []
    assert rig.records("command") + rig.records("properties") == []


async def test_what_is_asked_is_journalled_without_its_content(still: Rig, tmp_path: Path) -> None:
    async with await still.login():
        await still.call("POST", COMMANDS, {"command_name": "c", "paras": {"secret": "canary"}})
        await still.call("PUT", PROPERTIES, {"services": [{"secret": "canary"}]})
        await still.call("GET", f"{PROPERTIES}?service_id=canary")
    assert [one["action"] for one in still.records("properties")] == ["set", "get"]
    assert "canary" not in (tmp_path / "platform.jsonl").read_text(encoding="utf-8")
