"""A whole fleet against mosquitto: a broker that we did not write, and that has no control API."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from simulator.measure import Measures
from simulator.oracle import Oracle
from simulator.report.folder import judge_folder
from simulator.run import Play
from simulator.scenario.flow import until
from simulator.scenario.parser import load
from simulator.verdict import ExitCode
from tests.support.commands import keyturn
from tests.support.mosquitto import mosquitto

pytestmark = pytest.mark.peer

DEVICES = 20
UP = """
name: A fleet and a broker
settle: 0s
fleets:
  meters: {count: 20, telemetry: {every: 200ms}}
timeline:
  - {id: up, start: [meters], over: 1s, until: "recovered == 100%"}
"""
STORM = f"""{UP}
  - {{id: down, network: {{fleet: meters, state: down}}, until: "connected == 0"}}
  - {{id: back, network: {{fleet: meters, state: up}}, until: "recovered == 100%"}}
  - {{id: killed, wait: 0s, until: "connected == 0"}}
  - {{id: restarted, wait: 0s, until: "recovered == 100%"}}
expect:
  - "down: outage.count == {DEVICES}"
  - "recovered == 100%"
  - "refused == 0"
  - "unsettled == 0"
"""


def count(records: list[dict[str, Any]], kind: str) -> int:
    return sum(record["last"] - record["first"] + 1 for record in records if record["kind"] == kind)


@pytest.mark.parametrize("version", ["3.1.1", "5"])
async def test_fleet_connects_and_its_messages_arrive(tmp_path: Path, version: str) -> None:
    scenario = tmp_path / "up.yaml"
    scenario.write_text(UP + "  - {id: rest, wait: 1s}\n")
    async with mosquitto(tmp_path) as broker:
        await broker.keep("$oc/devices/+/sys/events/up")
        arguments = ("--platform", f"mqtt://127.0.0.1:{broker.port}", "--set", f"fleets.meters.mqtt='{version}'")
        ended = await asyncio.to_thread(keyturn, "run", scenario, *arguments, cwd=tmp_path)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        kept = await broker.kept("$oc/devices/+/sys/events/up", DEVICES)
    devices = [f"keyturn_meters-{number:02}" for number in range(1, DEVICES + 1)]
    assert sorted(line.split()[0] for line in kept) == [f"$oc/devices/{one}/sys/events/up" for one in devices]
    records = judge_folder(tmp_path / "keyturn-report").device_records
    sent, acknowledged = (count(records, kind) for kind in ("sent", "acked"))
    assert sent == acknowledged >= 3 * DEVICES


async def test_fleet_comes_back_from_a_lost_network_and_from_a_killed_broker(tmp_path: Path) -> None:
    scenario = tmp_path / "storm.yaml"
    scenario.write_text(STORM)
    folder = tmp_path / "report"
    folder.mkdir()
    async with mosquitto(tmp_path) as broker:

        async def kill_and_restart(oracle: Oracle, _measures: Measures) -> None:
            await until(lambda: "killed" in oracle.steps)
            await broker.kill()
            await until(lambda: "restarted" in oracle.steps)
            await broker.start()

        address = f"platform={{kind: broker-only, mqtt: 'mqtt://127.0.0.1:{broker.port}'}}"
        await Play(load(scenario, overrides=[address]), folder).run(kill_and_restart)
    report = judge_folder(folder).report
    assert [(step.step, step.state) for step in report.steps if step.state != "done"] == []
    assert report.exit_code is ExitCode.PASSED
    assert (report.measure("connects == 0").value or 0) >= 3 * DEVICES
    assert (report.measure("outage.count == 0").value or 0) == 2 * DEVICES


async def test_fleet_that_the_broker_does_not_let_in_is_refused_and_not_unreachable(tmp_path: Path) -> None:
    scenario = tmp_path / "refused.yaml"
    scenario.write_text(UP.replace("recovered == 100%", "refused.not_allowed >= 20"))
    async with mosquitto(tmp_path, {"somebody": "else"}) as broker:
        address = f"mqtt://127.0.0.1:{broker.port}"
        ended = await asyncio.to_thread(keyturn, "run", scenario, "--platform", address, cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    report = judge_folder(tmp_path / "keyturn-report").report
    assert [report.measure(f"{nothing} == 0").value for nothing in ("connected", "unreachable")] == [0, 0]
