"""Every verb against a real platform, by small scenarios."""

from pathlib import Path
from typing import Any

import pytest

from simulator.report.folder import judge_folder
from simulator.run import Ending, Play
from simulator.scenario.model import Scenario
from simulator.verdict import ExitCode, RunReport

UP = {"id": "up", "start": ["meters"], "until": "recovered == 100%"}
RESET = {"fleet": "meters", "slot": "primary", "force_disconnect": True}


async def play(
    folder: Path, *timeline: dict[str, Any], expect: tuple[str, ...] = (), settle: float = 3.0, **fleet: Any
) -> RunReport:
    plan = Scenario.model_validate(
        {
            "name": "verbs",
            "intent": "routine",
            "settle": settle,
            "loop_lag_limit": "5s",
            "fleets": {"meters": {"count": 6} | fleet},
            "timeline": [UP, *timeline],
            "expect": expect,
        }
    )
    ending: Ending = await Play(plan, folder).run()
    assert not ending.interrupted
    report = judge_folder(folder).report
    assert not report.oracle.crashes
    return report


def states(report: RunReport) -> dict[str, str]:
    return {step.step: step.state for step in report.steps}


def value(report: RunReport, text: str) -> float | None:
    return report.measure(text).value


async def test_network_down_and_up(tmp_path: Path) -> None:
    down = {"id": "down", "network": {"fleet": "meters", "state": "down"}, "until": "connected == 0"}
    up = {"id": "back", "network": {"fleet": "meters", "state": "up"}, "until": "connected == 100%"}
    report = await play(tmp_path, down, up, telemetry={"every": 0.2})
    assert set(states(report).values()) == {"done"}
    assert value(report, "down: outage.count == 6") == 6
    assert value(report, "messages.lost == 0") == 0
    assert value(report, "refused == 0") == 0


async def test_frozen_devices_are_out_until_they_are_unfrozen(tmp_path: Path) -> None:
    freeze = {"id": "freeze", "freeze": ["meters"], "until": "refused.not_allowed >= 6"}
    unfreeze = {"id": "unfreeze", "unfreeze": ["meters"], "until": "recovered == 100%"}
    report = await play(tmp_path, freeze, unfreeze)
    assert set(states(report).values()) == {"done"}
    assert value(report, "freeze: refused.credential == 0") == 0


async def test_stopped_devices_leave_cleanly_and_start_again(tmp_path: Path) -> None:
    stop = {"id": "stop", "stop": ["meters"], "until": "connected == 0"}
    report = await play(tmp_path, stop, UP | {"id": "again"})
    assert set(states(report).values()) == {"done"}
    assert value(report, "outage.count == 0") == 0
    reasons = [one["reason"] for one in judge_folder(tmp_path).platform_records if one["kind"] == "detached"]
    assert reasons == ["client_disconnect"] * 12


async def test_secret_that_is_delivered_ahead_is_the_one_that_the_reset_sends(tmp_path: Path) -> None:
    deliver = {"id": "deliver", "deliver_secret": {"fleet": "meters", "slot": "primary"}}
    rotate = {"id": "rotate", "reset_secret": RESET, "until": "recovered == 100%"}
    report = await play(tmp_path, deliver, rotate)
    assert set(states(report).values()) == {"done"}
    assert value(report, "rotate: refused == 0") == 0
    assert value(report, "rotate: slot.primary == 6") == 6


async def test_locked_out_devices_are_rescued_by_a_direct_delivery_of_a_generated_secret(tmp_path: Path) -> None:
    reset = {"id": "reset", "reset_secret": RESET | {"secret": "generated"}, "until": "locked_out == 100%"}
    rescue = {
        "id": "rescue",
        "deliver_secret": {"fleet": "meters", "slot": "primary", "via": "direct"},
        "until": "recovered == 100%",
    }
    report = await play(tmp_path, reset, rescue, secrets="primary")
    assert set(states(report).values()) == {"done"}
    assert value(report, "reset: stranded == 6") == 6
    assert value(report, "stranded == 0") == 0


async def test_condition_ends_the_waves_and_what_waits_for_them(tmp_path: Path) -> None:
    waves = {"size": 2, "every": 0.5, "abort_if": "stranded > 0"}
    reset = {"id": "reset", "reset_secret": RESET, "waves": waves}
    report = await play(tmp_path, reset, {"id": "after", "wait": 0.1}, secrets="primary", settle=0.5)
    assert states(report) == {"up": "done", "reset": "failed", "after": "skipped"}
    assert report.oracle.steps["reset"].detail.startswith("aborted: stranded > 0 (2 of 6")
    assert sum(bool(device.retired) for device in report.oracle.devices.values()) == 2
    assert report.exit_code is ExitCode.FAILED


async def test_condition_about_devices_that_no_wave_has_reached_yet_looks_at_how_they_stand(tmp_path: Path) -> None:
    waves = {"size": 3, "every": 2.5, "abort_if": "connected < 50%"}
    report = await play(tmp_path, {"id": "reset", "reset_secret": RESET, "waves": waves})
    assert states(report)["reset"] == "done"


async def test_delivery_that_is_not_answered_names_who_is_missing(tmp_path: Path) -> None:
    down = {"id": "down", "network": {"fleet": "meters", "state": "down"}, "until": "connected == 0"}
    deliver = {"id": "deliver", "timeout": 0.5, "deliver_secret": {"fleet": "meters", "slot": "primary"}}
    report = await play(tmp_path, down, deliver, settle=0.1)
    detail = report.oracle.steps["deliver"].detail
    assert detail.startswith("not done within 0.5 s: 6 devices did not answer, among them keyturn_meters-1")


async def test_fleet_that_is_never_rescued_has_an_outage_as_long_as_it_was_seen(tmp_path: Path) -> None:
    reset = {"id": "reset", "reset_secret": RESET, "until": "locked_out == 100%"}
    rest = {"id": "rest", "wait": 1.5}
    report = await play(tmp_path, reset, rest, expect=("reset: outage.max < 1s",), secrets="primary", settle=0.1)
    assert value(report, "reset: outage.count == 6") == 6
    assert report.exit_code is ExitCode.FAILED


@pytest.mark.parametrize("skew", ["2h", "-2h"])
async def test_skewed_clock_is_a_misjudged_secret_and_no_stranded_device(tmp_path: Path, skew: str) -> None:
    folder = tmp_path
    plan = Scenario.model_validate(
        {
            "name": "skew",
            "intent": "routine",
            "settle": 0.5,
            "fleets": {"meters": {"count": 3, "sign": 1, "clock_skew": skew, "secrets": "primary"}},
            "timeline": [{"id": "up", "start": ["meters"], "until": "locked_out == 100%", "timeout": "10s"}],
        }
    )
    await Play(plan, folder).run()
    report = judge_folder(folder).report
    assert states(report) == {"up": "done"}
    assert (value(report, "misjudged == 0") or 0) >= 3
    assert value(report, "stranded == 0") == 0


async def test_devices_of_mqtt_5_are_told_why_they_are_cut(tmp_path: Path) -> None:
    reset = {"id": "reset", "reset_secret": RESET, "until": "recovered == 100%"}
    report = await play(tmp_path, reset, mqtt=5)
    assert set(states(report).values()) == {"done"}
    judged = judge_folder(tmp_path)
    lost = {record["reason"] for record in judged.device_records if record["kind"] == "lost"}
    refused = {record["code"] for record in judged.device_records if record["kind"] == "refused"}
    assert (lost, refused) == ({"administrative action (0x98)"}, {0x86})
    assert {record["mqtt"] for record in judged.platform_records if record["kind"] == "accepted"} == {"5"}
