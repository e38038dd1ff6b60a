"""Events of devices: answered, remembered, journalled by their names, or passed over."""

import json
from pathlib import Path
from typing import Any

import pytest

from broker.access.events import EVENTS_READ
from tests.broker.rig import BOTH_VERSIONS, START, Client, FakeClock, Rig, connect, running
from wire.mqtt import PubAck, Publish, SubAck, Subscribe

UP, DOWN = "$oc/devices/d1/sys/events/up", "$oc/devices/d1/sys/events/down"
START_MS = int(START.timestamp() * 1000)


def event(service_id: object, event_type: object, **paras: object) -> dict[str, object]:
    return {"service_id": service_id, "event_type": event_type, "event_time": "20261121T193000Z", "paras": paras}


def payload(*services: object, device_id: object = "d1") -> bytes:
    return json.dumps({"object_device_id": device_id, "services": services}).encode()


def sync(sent: object) -> bytes:
    return payload(event("$time_sync", "time_sync_request", device_send_time=sent))


async def report(client: Client, *payloads: bytes) -> list[Publish]:
    """Publish events; returns what came down before the last was acknowledged."""
    client.send(*(Publish(UP, one, 1, number) for number, one in enumerate(payloads, 1)))
    downlinks = []
    while (packet := await client.receive()) != PubAck(len(payloads)):
        if isinstance(packet, Publish):
            downlinks.append(packet)
    return downlinks


def names(rig: Rig) -> list[tuple[Any, Any]]:
    return [(one["service_id"], one["event_type"]) for one in rig.records("event")]


@BOTH_VERSIONS
@pytest.mark.parametrize("sent", [1_582_685_678_789, "1582685678789"], ids=["number", "text"])
async def test_device_is_told_the_time(tmp_path: Path, level: int, sent: object) -> None:
    async with running(tmp_path, FakeClock()) as rig:
        await rig.provision("d1")
        async with await rig.login(connect(level=level)) as client:
            (got,) = await report(client, sync(sent))
    assert (got.topic, got.qos) == (DOWN, 0)
    assert json.loads(got.payload) == {
        "object_device_id": "d1",
        "services": [
            {
                "service_id": "$time_sync",
                "event_type": "time_sync_response",
                "event_time": "20261121T193000Z",
                "paras": {
                    "device_send_time": 1_582_685_678_789,
                    "server_recv_time": START_MS,
                    "server_send_time": START_MS,
                },
            }
        ],
    }


async def test_time_is_the_clock_that_connects_are_judged_by(tmp_path: Path) -> None:
    async with running(tmp_path, FakeClock()) as rig:
        await rig.provision("d1")
        async with await rig.login() as client:
            await rig.call("POST", "/_platform/clock", {"advance": 60})
            (got,) = await report(client, sync(1))
    assert json.loads(got.payload)["services"][0]["paras"]["server_recv_time"] == START_MS + 60_000


async def test_subscription_brings_the_time_once_and_acknowledged(rig: Rig) -> None:
    async with await rig.login() as client:
        client.send(Subscribe(1, (("$oc/devices/d1/sys/#", 1), (DOWN, 1))))
        assert await client.receive() == SubAck(1, (1, 1))
        assert [one.qos for one in await report(client, sync(1))] == [1]


@pytest.mark.parametrize("sent", [None, True, -1.5, "", "soon", "²", "9" * 19, "9" * 400, 1 << 70, [1], {"a": 1}])
async def test_time_is_not_told_to_who_does_not_say_his_own(rig: Rig, sent: object) -> None:
    async with await rig.login() as client:
        assert await report(client, sync(sent)) == []
        assert len(await report(client, sync(0))) == 1
    assert (await rig.statistics())["internal_errors"] == 0


async def test_versions_are_shown_with_the_device_from_its_report_on(rig: Rig) -> None:
    path = "/v5/iot/p/devices/d1"
    versions = {"device_sdk_version": "C_v0.5.0", "sw_version": "v1.0", "fw_version": "v1.1"}
    assert versions.keys().isdisjoint((await rig.call("GET", path)).body)
    async with await rig.login() as client:
        await report(client, payload(event("$sdk_info", "sdk_info_report", **versions, device_ip="127.0.0.1")))
        assert versions.items() <= (await rig.call("GET", path)).body.items()
    await rig.call("DELETE", path)
    await rig.provision("d1")
    assert versions.keys().isdisjoint((await rig.call("GET", path)).body)


async def test_versions_that_are_no_texts_are_left_out_and_long_ones_cut(rig: Rig) -> None:
    async with await rig.login() as client:
        reported = {"device_sdk_version": 1, "sw_version": "v" * 1000, "fw_version": None}
        await report(client, payload(event("$sdk_info", "sdk_info_report", **reported)))
    shown = (await rig.call("GET", "/v5/iot/p/devices/d1")).body
    assert shown["sw_version"] == "v" * 256
    assert shown.keys().isdisjoint({"device_sdk_version", "fw_version"})


async def test_events_are_journalled_by_their_names_only(rig: Rig, tmp_path: Path) -> None:
    async with await rig.login() as client:
        log = event("$log", "log_report", type="DEVICE_STATUS", content="canary connect complete")
        assert await report(client, payload(log, event("smoke", "alarm", canary=1)), payload(log, device_id=None)) == []
    assert names(rig) == [("$log", "log_report"), ("smoke", "alarm"), ("$log", "log_report")]
    assert "canary" not in (tmp_path / "platform.jsonl").read_text(encoding="utf-8")


async def test_number_of_an_event_is_still_an_uplink(rig: Rig) -> None:
    async with await rig.login() as client:
        body = {"services": [event("$log", "log_report")], "seq": 7}
        await report(client, json.dumps(body).encode())
    assert [(one["first"], one["last"]) for one in rig.records("uplink")] == [(7, 7)]
    assert names(rig) == [("$log", "log_report")]


async def test_one_message_makes_a_bounded_number_of_records_of_a_bounded_length(rig: Rig) -> None:
    async with await rig.login() as client:
        await report(client, payload(*([event("s" * 1000, "t" * 1000)] * 100)))
    assert names(rig) == [("s" * 64, "t" * 64)] * EVENTS_READ


async def test_events_of_devices_behind_this_one_are_passed_over(rig: Rig) -> None:
    async with await rig.login() as client:
        other = payload(event("$time_sync", "time_sync_request", device_send_time=1), device_id="d2")
        assert await report(client, other) == []
    assert names(rig) == []


@pytest.mark.parametrize(
    "malformed",
    [
        b"",
        b"\xff",
        b"[]",
        b'"services"',
        b"{}",
        b'{"services": 7}',
        b'{"services": {"service_id": "$log"}}',
        b'{"services": [null, 1, "x", [{}]]}',
        b'{"services": [{"service_id": "$time_sync"',
        b'{"object_device_id": ["d1"], "services": [{}]}',
        b'{"services": ' + b"[" * 2000 + b"]" * 2000 + b"}",
    ],
    ids=lambda payload: repr(payload[:40]),
)
async def test_malformed_event_is_acknowledged_and_changes_nothing(rig: Rig, malformed: bytes) -> None:
    async with await rig.login() as client:
        assert await report(client, malformed) == []
        assert len(await report(client, sync(1))) == 1
    assert names(rig) == [("$time_sync", "time_sync_request")]
    assert (await rig.statistics())["internal_errors"] == 0


@pytest.mark.parametrize("paras", [None, [], "x", {"device_send_time": {}}])
@pytest.mark.parametrize("kind", [("$time_sync", "time_sync_request"), ("$sdk_info", "sdk_info_report"), (1, [])])
async def test_event_without_fit_paras_is_journalled_and_that_is_all(
    rig: Rig, kind: tuple[object, object], paras: object
) -> None:
    async with await rig.login() as client:
        assert await report(client, payload({**event(*kind), "paras": paras})) == []
    assert names(rig) == [kind if isinstance(kind[0], str) else (None, None)]


@pytest.mark.parametrize("suffix", ["messages/up", "properties/report", "gateway/sub_devices/properties/report"])
@pytest.mark.parametrize("encoding", ["", "?encoding=gzip"])
async def test_messages_and_reports_are_accepted_compressed_or_not(rig: Rig, suffix: str, encoding: str) -> None:
    async with await rig.login() as client:
        client.send(Publish(f"$oc/devices/d1/sys/{suffix}{encoding}", b"\x1f\x8b\x08\x00any", 1, 1))
        assert await client.receive() == PubAck(1)
    assert rig.records("dropped") == []
    assert (await rig.statistics())["uplinks"] == 1
