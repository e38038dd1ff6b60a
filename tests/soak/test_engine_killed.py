"""`kill -9` of the broker behind the platform in the middle of a wave: 5,000 relayed sessions, half of them persistent.

Nobody's session lingers, at the platform or at the broker; no acknowledged message is lost; every device comes back.
"""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from simulator.measure import Measures
from simulator.oracle import Oracle
from simulator.report.folder import judge_folder
from simulator.run import Play
from simulator.scenario.flow import until
from simulator.scenario.parser import load
from simulator.verdict import ExitCode
from tests.soak.settings import ROOM_S
from tests.support.mosquitto import Mosquitto, mosquitto

pytestmark = [pytest.mark.soak, pytest.mark.timeout(2 * ROOM_S)]

DEVICES = 5_000
KILLED_AFTER = 1_500
WAVE = """
name: The engine is killed in the middle of a wave
seed: 6
settle: 60s
loop_lag_limit: 60s
fleets:
  meters: {count: 2500, session: persistent, telemetry: {every: 5s, qos: 1}}
  valves: {count: 2500, session: clean, mqtt: 5, telemetry: {every: 5s, qos: 1}}
timeline:
  - {id: up, start: [meters, valves], over: 10s, until: "recovered == 100%", timeout: 120s}
  - id: rotate
    reset_secret: {fleet: [meters, valves], slot: primary, force_disconnect: true}
    waves: {size: 250, every: 500ms}
    until: "recovered == 100%"
    timeout: 120s
  - {id: deliver, deliver_secret: {fleet: [meters, valves], slot: primary, via: command}, timeout: 120s}
  - {id: quiet, wait: 2s}
expect:
  - "rotate: slot.secondary == 100%"
  - "recovered == 100%"
  - "old_secret_accepted == 0"
  - "stale_sessions == 0"
  - "messages.lost == 0"
  - "downlinks.lost == 0"
  - "locked_out == 0"
  - "unsettled == 0"
"""

Watch = Callable[[Oracle, Measures], Awaitable[None]]


def descriptors(broker: Mosquitto) -> int:
    return len(os.listdir(f"/proc/{broker.pid}/fd"))


def killer(broker: Mosquitto, told: list[int]) -> Watch:
    """Kill the broker when so many resets are answered, start it when all are offline; see who is there at the end."""

    empty = descriptors(broker)

    async def watch(oracle: Oracle, _measures: Measures) -> None:
        await until(lambda: sum(bool(device.retired) for device in oracle.devices.values()) >= KILLED_AFTER)
        await broker.kill()
        await until(lambda: not any(device.connected for device in oracle.devices.values()))
        await broker.start()
        await until(lambda: "quiet" in oracle.steps)
        told.append(descriptors(broker) - empty)

    return watch


async def test_no_session_lingers_and_no_acknowledged_message_is_lost(tmp_path: Path) -> None:
    (tmp_path / "wave.yaml").write_text(WAVE)
    folder, sessions = tmp_path / "report", list[int]()
    folder.mkdir()
    path = tmp_path / "mosquitto.sock"
    async with mosquitto(tmp_path, lines=[f"listener 0 {path}"]) as broker:
        play = Play(load(tmp_path / "wave.yaml", overrides=[f"platform.engine='unix:{path}'"]), folder)
        await play.run(killer(broker, sessions))
    judged = judge_folder(folder)
    states = {step.step: (step.state, step.detail) for step in judged.report.steps if step.state != "done"}
    failed = [
        (str(one.expectation), one.verdict, one.observed) for one in judged.report.outcomes if one.verdict != "passed"
    ]
    assert (states, failed) == ({}, [])
    assert judged.report.exit_code is ExitCode.PASSED
    assert sessions == [DEVICES], "the broker has one connection for every device"
    endings = [one["reason"] for one in judged.platform_records if one["kind"] == "detached"]
    assert endings.count("engine_closed") > 1_000
    engine = [one["state"] for one in judged.platform_records if one["kind"] == "engine"]
    assert {"up", "down"} == set(engine)
    check_books(judged.platform_records)


def check_books(records: list[dict[str, object]]) -> None:
    """Every session that began has ended, and no device had two at a time."""
    live: dict[object, int] = {}
    for record in records:
        if record["kind"] == "accepted":
            live[record["device"]] = live.get(record["device"], 0) + 1
            assert live[record["device"]] == 1, record
        elif record["kind"] == "detached":
            live[record["device"]] -= 1
    assert set(live.values()) == {0}
