"""`kill -9` of the platform in the middle of a wave: what was answered is in force, and the fleet comes back."""

import asyncio
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from simulator.credentials import fingerprint
from simulator.oracle import Oracle
from simulator.report.folder import judge_folder
from simulator.run import Play
from simulator.scenario.flow import until
from simulator.scenario.parser import load
from tests.support.commands import PlatformProcess, serving, start_platform

pytestmark = pytest.mark.scenario

DEVICES = 200
KILL_AFTER = 70


def current_secrets(database: Path) -> dict[tuple[str, str], str]:
    """(device, slot) → fingerprint of the secret in the platform's database."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        rows = connection.execute("SELECT device_id, primary_secret, secondary_secret FROM device").fetchall()
    connection.close()
    return {
        (device, slot): fingerprint(secret)
        for device, primary, secondary in rows
        for slot, secret in (("primary", primary), ("secondary", secondary))
    }


async def play_with_a_kill(folder: Path, database: Path, journal: Path) -> dict[tuple[str, str], str]:
    """Kill and restart the platform in the middle of the resets; give what stood in its database in between."""
    flags = ("--db", database, "--journal", journal)
    async with serving(*flags) as first:
        overrides = [
            "platform.kind=remote",
            f"platform.api='{first.api}'",
            f"fleets.meters.count={DEVICES}",
            "timeline.up.over=0s",
            "timeline.rotate.waves={size: 50, every: 200ms}",
        ]
        play = Play(load("rotate-primary", overrides=overrides), folder)
        between: dict[tuple[str, str], str] = {}
        second: list[PlatformProcess] = []

        async def murder(oracle: Oracle, _measures: object) -> None:
            await until(lambda: _answered(oracle) >= KILL_AFTER)
            await first.kill()
            between.update(await asyncio.to_thread(current_secrets, database))
            ports = ("--mqtt-port", str(first.mqtt_port), "--http-port", str(first.http_port))
            second.append(await start_platform(*ports, *flags))

        try:
            ending = await play.run(murder)
            assert ending.unreachable is None
        finally:
            for platform in second:
                platform.process.terminate()
                await platform.process.wait()
    return between


def _answered(oracle: Oracle) -> int:
    return sum(bool(device.retired) for device in oracle.devices.values())


async def test_answered_resets_survive_and_the_fleet_recovers(tmp_path: Path) -> None:
    folder, database, journal = tmp_path / "report", tmp_path / "platform.db", tmp_path / "platform.jsonl"
    folder.mkdir()
    between = await play_with_a_kill(folder, database, journal)
    shutil.copy(journal, folder / "platform.jsonl")
    judged = judge_folder(folder)
    resets = [record for record in judged.device_records if record["kind"] == "reset"]
    assert any(record["state"] == "unanswered" for record in resets), "the kill came too late to be felt"
    check_no_half_reset(judged.device_records, between)
    assert [step.state for step in judged.report.steps] == ["done"] * 4
    assert not judged.report.oracle.crashes
    for nothing in ("stranded", "unsettled", "old_secret_accepted", "messages.lost", "messages.unexplained"):
        assert judged.report.measure(f"{nothing} == 0").value == 0
    assert judged.report.measure("retire: slot.primary == 100%").value == DEVICES


def check_no_half_reset(records: list[dict[str, Any]], between: dict[tuple[str, str], str]) -> None:
    """What was answered before the kill is there; what was not is there whole or not at all."""
    devices = {record["device"]: record for record in records if record["kind"] == "device"}
    killed_at = min(record["t"] for record in records if record["kind"] == "reset" and record["state"] == "unanswered")
    sent: dict[str, set[str]] = {}
    for record in records:
        if record["kind"] != "reset" or record["t"] > killed_at or record["slot"] != "primary":
            continue
        sent.setdefault(record["device"], set()).add(record["fingerprint"])
        if record["state"] == "answered":
            assert between[record["device"], "primary"] == record["fingerprint"]
    for device, record in devices.items():
        assert between[device, "primary"] in {record["primary"], *sent.get(device, ())}
        assert between[device, "secondary"] == record["secondary"]
