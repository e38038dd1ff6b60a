"""Messages that expect no answer: sent, kept for later, or refused; journalled by number, never by content."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from broker.access.delivery import Delivery, Fate
from broker.auth.registry import Registry
from broker.journal import Journal
from broker.mailbox import Status
from broker.messages import Messages, NewMessage
from broker.sessions import Sessions
from broker.statistics import Statistics
from broker.stored import StoredStates
from tests.broker.rig import BOTH_VERSIONS, FakeClock, Rig, connect, device, running
from tests.broker.test_sessions import session as live_session
from tests.broker.test_stored import enter, leave, messages, persistent, subscribed
from wire.mqtt import Properties, PubAck, Publish, SubAck, Subscribe

PATH = "/_platform/devices/d1/messages"
DOWN = "$oc/devices/d1/sys/messages/down"
SENT, QUEUED, DROPPED = (
    {"delivered": True, "queued": False},
    {"delivered": False, "queued": True},
    {"delivered": False, "queued": False},
)


async def post(rig: Rig, payload: object, **fields: object) -> tuple[int, Any]:
    answer = await rig.call("POST", PATH, {"payload": payload, **fields})
    return answer.status, answer.body


@BOTH_VERSIONS
async def test_device_online_gets_it_at_qos_0_without_subscription(rig: Rig, level: int) -> None:
    async with await rig.login(connect(level=level)) as client:
        assert await post(rig, {"seq": 7, "text": "hello"}) == (202, SENT)
        got = await client.receive()
    assert isinstance(got, Publish)
    assert (got.topic, got.qos, json.loads(got.payload)) == (DOWN, 0, {"seq": 7, "text": "hello"})
    (record,) = rig.records("downlink")
    assert {**record, "t": 0} == {"t": 0, "kind": "downlink", "device": "d1", "seq": 7, "queued": False}


@pytest.mark.parametrize(("granted", "asked", "qos"), [(1, 1, 1), (1, 0, 0), (0, 1, 0)])
async def test_subscription_bounds_the_qos_of_a_clean_session(rig: Rig, granted: int, asked: int, qos: int) -> None:
    async with await rig.login() as client:
        client.send(Subscribe(1, (("$oc/devices/d1/sys/#", granted),)))
        assert await client.receive() == SubAck(1, (granted,))
        assert await post(rig, "hello", qos=asked) == (202, SENT)
        got = await client.receive()
    assert isinstance(got, Publish)
    assert (got.payload, got.qos) == (b"hello", qos)


@BOTH_VERSIONS
async def test_device_with_stored_state_finds_it_when_it_is_back(rig: Rig, level: int) -> None:
    client, _ = await enter(rig, persistent(level))
    await leave(rig, client)
    for seq in (1, 2):
        assert await post(rig, {"seq": seq}) == (202, QUEUED)
    client, _ = await enter(rig, persistent(level))
    async with client:
        got = await messages(client, 2)
    assert [(one.topic, one.qos, json.loads(one.payload)["seq"]) for one in got] == [(DOWN, 1, 1), (DOWN, 1, 2)]
    assert [(one["seq"], one["queued"]) for one in rig.records("downlink")] == [(1, True), (2, True)]


async def test_message_cut_off_in_flight_is_not_lost(rig: Rig) -> None:
    client, _ = await enter(rig, persistent(5))
    async with client:
        assert await post(rig, {"seq": 1}) == (202, SENT)
        await rig.reset(force_disconnect=True)
        await client.rest()
    client, _ = await enter(rig, persistent(5, secret="secondary-secret-1"))
    async with client:
        (got,) = await messages(client, 1)
    assert (got.dup, got.payload) == (True, b'{"seq":1}')


async def test_full_window_queues_it(tmp_path: Path) -> None:
    async with running(tmp_path, inflight_window=1) as rig:
        await rig.provision("d1")
        async with await subscribed(rig, persistent(4)) as client:
            assert [await post(rig, "x") for _ in range(2)] == [(202, SENT), (202, QUEUED)]
            await client.receive()
            client.send(PubAck(1))
            assert isinstance(await client.receive(), Publish)


async def test_message_too_large_for_the_device_says_neither(rig: Rig) -> None:
    client, _ = await enter(rig, connect(level=5, properties=Properties(maximum_packet_size=64)))
    async with client:
        assert await post(rig, "x" * 100) == (202, DROPPED)
    assert [one["reason"] for one in rig.records("dropped")] == ["too_large"]


async def test_device_away_without_stored_state_is_403(rig: Rig) -> None:
    status, body = await post(rig, "x")
    assert (status, body["error_code"]) == (403, "IOTDA.014016")
    assert rig.records("downlink") == []


async def test_qos_0_waits_for_nobody(rig: Rig) -> None:
    await leave(rig, (await enter(rig, persistent(4)))[0])
    status, body = await post(rig, "x", qos=0)
    assert (status, body["error_code"]) == (403, "IOTDA.014016")


async def test_synchronous_command_still_needs_the_device_online(rig: Rig) -> None:
    await leave(rig, (await enter(rig, persistent(4)))[0])
    answer = await rig.call("POST", "/_platform/devices/d1/commands", {"command_name": "c"})
    assert (answer.status, answer.body["error_code"]) == (403, "IOTDA.014016")


async def test_unknown_device_is_404(rig: Rig) -> None:
    answer = await rig.call("POST", "/_platform/devices/nobody/messages", {"payload": "x"})
    assert (answer.status, answer.body["error_code"]) == (404, "IOTDA.014000")


async def test_other_topics_of_the_device_can_be_named(rig: Rig) -> None:
    async with await rig.login() as client:
        assert await post(rig, [1, 2], topic="$oc/devices/d1/user/news") == (202, SENT)
        assert await client.receive() == Publish("$oc/devices/d1/user/news", b"[1,2]")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"payload": "x", "qos": 2},
        {"payload": "x", "more": 1},
        {"payload": "x", "topic": ""},
        {"payload": "x", "topic": "a\0b"},
        {"payload": "x", "topic": "custom"},
        {"payload": "x", "topic": "$oc/devices/d1/sys/#"},
        {"payload": "x", "topic": "$oc/devices/d2/sys/messages/down"},
        {"payload": 1 << 70},
    ],
    ids=lambda body: json.dumps(body)[:60],
)
async def test_unfit_request_is_400(rig: Rig, body: dict[str, object]) -> None:
    async with await rig.login():
        answer = await rig.call("POST", PATH, body)
    assert (answer.status, answer.body["error_code"]) == (400, "IOTDA.000006")


async def test_content_is_never_journalled_nor_repeated(rig: Rig, tmp_path: Path) -> None:
    await leave(rig, (await enter(rig, persistent(4)))[0])
    await post(rig, {"seq": 1, "secret": "canary-in-downlink"})
    status, body = await post(rig, {"secret": "canary-in-error"}, qos=9)
    assert status == 400
    text = (tmp_path / "platform.jsonl").read_text(encoding="utf-8")
    assert "canary" not in text + json.dumps(body)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Messages]:
    """Messages for a device that is in, with a journal that nobody else flushes."""
    clock, sessions, registry = FakeClock(), Sessions(), Registry([device()])
    journal = Journal(tmp_path / "platform.jsonl", clock, lambda _: None, 10)
    stored = StoredStates(journal, clock)
    sessions.attach(live_session())
    delivery = Delivery(sessions, stored, journal, Statistics(), clock)
    yield Messages(registry, sessions, stored, delivery, journal, clock, iter("m"))
    journal.close()


async def test_record_is_on_disk_before_the_answer_can_leave(desk: Messages, tmp_path: Path) -> None:
    assert await desk.send("d1", None, b'{"seq": 1}', 1) is Fate.SENT
    assert json.loads((tmp_path / "platform.jsonl").read_text(encoding="utf-8"))["kind"] == "downlink"


async def test_record_of_the_vendors_message_is_on_disk_before_the_answer_can_leave(
    desk: Messages, tmp_path: Path
) -> None:
    assert (await desk.post("d1", NewMessage("x", {}))).status is Status.DELIVERED
    lines = (tmp_path / "platform.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["downlink", "message"]
