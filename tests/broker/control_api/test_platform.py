"""Our own administration."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import pytest

from broker import VERSION
from tests.broker.rig import PRIMARY, START, FakeClock, Rig, connect, running


async def test_platform_describes_itself(rig: Rig) -> None:
    answer = await rig.call("GET", "/_platform")
    assert answer.body == {
        "name": "keyturn",
        "version": VERSION,
        "run": rig.platform.run,
        "mqtt": {"host": "127.0.0.1", "port": rig.platform.mqtt_port},
        "mqtts": None,
        "coap": None,
        "coaps": None,
        "ca": None,
        "devices": 1,
        "sessions": 0,
        "journal_records": 2,
        "journal_records_lost": 0,
    }


async def test_sessions_are_listed_whole_or_one(tmp_path: Path) -> None:
    async with running(tmp_path, FakeClock()) as rig:
        await rig.provision("d1", "d2")
        async with await rig.login() as one, await rig.login(connect("d2")):
            answer = await rig.call("GET", "/_platform/sessions")
            assert answer.body["count"] == 2
            answer = await rig.call("GET", "/_platform/sessions?device_id=d1")
            host, port = one.writer.get_extra_info("sockname")
            assert answer.body == {
                "count": 1,
                "sessions": [
                    {
                        "device_id": "d1",
                        "slot": "primary",
                        "secret_version": 1,
                        "current": True,
                        "connected_at": "2026-11-21T19:30:00+00:00",
                        "client_id": "d1_0_0_2026112119",
                        "peer": f"{host}:{port}",
                        "mqtt": "3.1.1",
                        "via": None,
                    }
                ],
            }
        answer = await rig.call("GET", "/_platform/sessions?device_id=nobody")
        assert answer.body == {"count": 0, "sessions": []}


async def test_journal_streams_what_was_and_what_comes(rig: Rig) -> None:
    kinds: list[str] = []
    async with asyncio.timeout(5), rig.http.get("/_platform/journal") as stream:
        assert stream.content_type == "text/event-stream"
        assert stream.headers["X-Request-Id"]
        async for line in stream.content:
            if line.startswith(b"data: "):
                kinds.append(json.loads(line[6:])["kind"])
                if kinds == ["header", "provisioned"]:
                    await rig.refusal(connect(secret="wrong-secret"))
                if kinds[-1] == "refused":
                    break
    assert kinds == ["header", "provisioned", "refused"]


async def test_events_are_numbered_from_one(rig: Rig) -> None:
    async with asyncio.timeout(5), rig.http.get("/_platform/journal") as stream:
        lines = [await stream.content.readline() for _ in range(6)]
    assert [line for line in lines if line.startswith(b"id")] == [b"id: 1\n", b"id: 2\n"]


async def test_journal_stream_ends_when_the_platform_stops(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        stream = await rig.http.get("/_platform/journal")
        assert await stream.content.readline() == b"id: 1\n"
        async with asyncio.timeout(5):
            await rig.platform.__aexit__(None, None, None)
            await stream.content.read()


async def test_journal_on_the_stream_is_the_journal_on_disk(rig: Rig) -> None:
    await rig.refusal(connect(secret="wrong-secret"))
    streamed: list[dict[str, object]] = []
    async with asyncio.timeout(5), rig.http.get("/_platform/journal") as stream:
        while len(streamed) < len(rig.records()):
            line = await stream.content.readline()
            if line.startswith(b"data: "):
                streamed.append(json.loads(line[6:]))
    assert streamed == rig.records()


async def test_statistics_count(rig: Rig) -> None:
    async with await rig.login():
        await rig.refusal(connect(secret="wrong-secret"))
        await rig.reset()
        found = await rig.statistics()
    assert (found["accepted"], found["online"], found["devices"], found["resets"]) == (1, 1, 1, 1)
    assert found["refused"] == {"wrong_password": 1}
    assert found["bytes_in"] > 0
    assert found["bytes_out"] > 0
    assert found["rss_kb"] > 1000
    assert found["loop_lag_p99_ms"] >= 0


async def test_clock_put_forward_makes_an_hour_stale(tmp_path: Path) -> None:
    checked = connect(sign_type=1)
    async with running(tmp_path, clock=FakeClock()) as rig:
        await rig.provision("d1")
        async with await rig.login(checked):
            answer = await rig.call("POST", "/_platform/clock", {"advance": 7200})
            assert (answer.status, answer.body) == (200, {"utc": (START + timedelta(hours=2)).isoformat()})
            assert list(await rig.sessions()) == ["d1"], "who is in stays in"
        assert await rig.refusal(checked) == 4
        assert rig.records("refused")[0]["reason"] == "stale_hour"
        assert rig.records("clock")[0]["advanced"] == 7200


@pytest.mark.parametrize("body", [{}, {"advance": 0}, {"advance": -1}, {"advance": 1e9}, {"advance": "2h"}])
async def test_clock_goes_forward_only(rig: Rig, body: dict[str, object]) -> None:
    assert (await rig.call("POST", "/_platform/clock", body)).status == 400


async def test_clock_does_not_leave_the_calendar(tmp_path: Path) -> None:
    clock = FakeClock()
    clock.put_forward(6972 * 365.2425 * 86_400)
    async with running(tmp_path, clock) as rig:
        answers = [await rig.call("POST", "/_platform/clock", {"advance": 366 * 86_400}) for _ in range(2)]
        assert [answer.status for answer in answers] == [200, 400]


async def test_shutdown_asks_for_the_end(rig: Rig) -> None:
    assert (await rig.call("POST", "/_platform/shutdown")).status == 202
    assert rig.platform.stop_asked.is_set()


async def test_ten_thousand_devices_are_provisioned_and_let_in(rig: Rig) -> None:
    lines = [json.dumps({"device_id": f"n{number}", "primary": PRIMARY}) for number in range(10_000)]
    answer = await rig.call("POST", "/_platform/devices", "\n".join(lines).encode())
    assert answer.body == {"provisioned": 10_000}
    async with await rig.login(connect("n9999")):
        pass
