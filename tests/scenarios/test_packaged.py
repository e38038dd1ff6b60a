"""Every shipped scenario, run as a person runs it, ends as it says it does."""

import json
from pathlib import Path
from typing import Any

import pytest

from simulator.device.profiles import PROFILES
from simulator.report.folder import judge_folder
from simulator.scenario.parser import packaged
from simulator.verdict import RunReport
from tests.support.commands import keyturn

pytestmark = pytest.mark.scenario

TESTED = {
    "rotate-primary",
    "reset-without-force",
    "lockout",
    "revoke",
    "storm-5000",
    "persistent-sessions",
    "clock-skew",
    "nb-iot-rotation",
    "mixed-fleet",
    "sleeping-devices",
}


def measured(report: RunReport, text: str) -> float | None:
    return report.measure(text).value


def test_every_packaged_scenario_has_a_test() -> None:
    assert set(packaged()) == TESTED


def test_rotate_primary_loses_nobody_and_nothing(tmp_path: Path) -> None:
    ended = keyturn("run", "rotate-primary", cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    report = judge_folder(tmp_path / "keyturn-report").report
    assert measured(report, "rotate: slot.secondary == 100%") == 500
    assert measured(report, "retire: slot.primary == 100%") == 500
    assert measured(report, "recovered == 100%") == 500
    for nothing in ("stranded", "old_secret_accepted", "messages.lost", "messages.unexplained", "messages.unconfirmed"):
        assert measured(report, f"{nothing} == 0") == 0
    assert measured(report, "rotate: refused.credential == 500") == 500
    results = json.loads((tmp_path / "keyturn-report" / "results.json").read_text())
    assert (results["verdict"], results["exit_code"]) == ("passed", 0)


def test_same_seed_gives_the_same_secrets_and_the_same_waves(tmp_path: Path) -> None:
    def resets(name: str, *more: str) -> list[tuple[Any, ...]]:
        small = (
            "--set",
            "fleets.meters.count=40",
            "--set",
            "timeline.up.over=0s",
            "--set",
            "timeline.rotate.waves.size=20",
        )
        ended = keyturn("run", "rotate-primary", *small, "--report", name, *more, cwd=tmp_path)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        records = judge_folder(tmp_path / name).device_records
        return [
            (one["step"], one["device"], one["slot"], one["fingerprint"])
            for one in records
            if one["kind"] == "reset" and one["state"] == "sent"
        ]

    first, second, other = resets("one"), resets("two"), resets("three", "--seed", "21")
    assert first == second
    assert len(first) == 80
    assert [row[1] for row in first] != [row[1] for row in other]
    assert {row[3] for row in first}.isdisjoint({row[3] for row in other})


def test_reset_without_force_is_found_out_at_the_next_reconnect(tmp_path: Path) -> None:
    ended = keyturn("run", "reset-without-force", cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    report = judge_folder(tmp_path / "keyturn-report").report
    assert measured(report, "reset: refused == 0") == 0
    assert measured(report, "reconnect: refused.credential == 50") == 50
    exposure = measured(report, "exposure.min > 4s")
    assert exposure is not None
    assert exposure > 4.0


def test_lockout_fails_and_tells_the_stories_of_the_worst_three(tmp_path: Path) -> None:
    ended = keyturn("run", "lockout", cwd=tmp_path)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "20 of 20 (100%)" in ended.stdout
    for device in ("keyturn_meters-01", "keyturn_meters-02", "keyturn_meters-03"):
        assert f"\n{device}" in ended.stdout
    assert ended.stdout.count("locked out") >= 3
    assert ended.stdout.count("refused (credential, code 4)") >= 6
    assert ended.stdout.count("refused it: wrong password (code 4)") >= 6


def test_report_judges_a_run_again_from_its_journals_alone(tmp_path: Path) -> None:
    keyturn("run", "lockout", cwd=tmp_path)
    before = (tmp_path / "keyturn-report" / "results.json").read_bytes()
    (tmp_path / "keyturn-report" / "results.json").unlink()
    again = keyturn("report", "keyturn-report", cwd=tmp_path)
    assert again.returncode == 1
    assert (tmp_path / "keyturn-report" / "results.json").read_bytes() == before


def test_revocation_leaves_no_second_of_exposure(tmp_path: Path) -> None:
    ended = keyturn("run", "revoke", cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Exposure:   none" in ended.stdout
    report = judge_folder(tmp_path / "keyturn-report").report
    assert measured(report, "exposure.count == 0") == 0


def test_revocation_without_force_leaves_sessions_exposed_and_fails(tmp_path: Path) -> None:
    unforced = ("--set", "timeline.revoke.reset_secret.force_disconnect=false", "--set", "timeline.revoke.timeout=1s")
    ended = keyturn("run", "revoke", "--set", "fleets.meters.count=10", *unforced, cwd=tmp_path)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    report = judge_folder(tmp_path / "keyturn-report").report
    assert measured(report, "stale_sessions == 0") == 10


def test_storm_brings_everybody_back_with_one_refusal_each(tmp_path: Path) -> None:
    fleets = list(PROFILES)
    small = [word for fleet in fleets for word in ("--set", f"fleets.{fleet}.count=25")]
    ended = keyturn("run", "storm-5000", *small, "--set", "timeline.up.over=1s", cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    report = judge_folder(tmp_path / "keyturn-report").report
    assert measured(report, "refused.credential == 200") == 200
    at_once = measured(report, "cut-no-backoff: outage.p50 < 9s")
    after_two_seconds = measured(report, "cut-huawei-java: outage.p50 < 9s")
    assert at_once is not None
    assert after_two_seconds is not None
    assert after_two_seconds > at_once + 1


def test_devices_that_slept_through_the_rotation_find_it_in_their_queue(tmp_path: Path) -> None:
    ended = keyturn("run", "persistent-sessions", cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Downlinks:  80 sent, 80 queued, 0 lost, 0 duplicated" in ended.stdout
    report = judge_folder(tmp_path / "keyturn-report").report
    assert measured(report, "slot.primary == 100%") == 80


def test_message_to_a_device_without_a_stored_session_is_refused(tmp_path: Path) -> None:
    clean = ("--set", "fleets.meters.session=clean", "--set", "settle=0s")
    ended = keyturn("run", "persistent-sessions", *clean, cwd=tmp_path)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "tell-meters: 60 devices: delivery failed" in ended.stdout


def test_skewed_clocks_are_misjudged_and_strand_nobody(tmp_path: Path) -> None:
    ended = keyturn("run", "clock-skew", cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_nb_iot_devices_are_cut_by_no_reset_and_judged_at_their_next_handshake(tmp_path: Path) -> None:
    ended = keyturn("run", "nb-iot-rotation", cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    report = judge_folder(tmp_path / "keyturn-report").report
    assert measured(report, "reset: outage.count == 0") == 0
    assert measured(report, "stale_sessions == 60") == 60
    assert measured(report, "untold: refused.credential == 10 of pumps") >= 10
    assert measured(report, "slot.primary == 100% of valves") == 50
    assert measured(report, "messages.lost == 0") == 0


def test_visit_rescues_nb_iot_devices_that_were_not_told(tmp_path: Path) -> None:
    text = packaged()["nb-iot-rotation"].read_text()
    visit = "deliver_secret: {fleet: pumps, slot: primary, via: direct}"
    rescued = text.replace("expect:", f'  - id: visit\n    {visit}\n    until: "recovered == 100%"\n\nexpect:')
    rescued = rescued.replace('  - "stranded == 10 of pumps"', '  - "stranded == 0"')
    (tmp_path / "rescued.yaml").write_text(rescued)
    ended = keyturn("run", "rescued.yaml", "--set", "timeline.quiet.wait=0s", cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_one_reset_has_an_outcome_for_each_protocol(tmp_path: Path) -> None:
    ended = keyturn("run", "mixed-fleet", cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    shown = {line.split("  ")[0].strip(): line.split()[-6:] for line in ended.stdout.splitlines() if line[:1] == " "}
    assert shown["MQTT"] == ["50", "50", "0", "50", "0", "0"]
    assert shown["LwM2M (DTLS)"] == ["50", "0", "0", "0", "50", "50"]
    assert shown["LwM2M (plain)"] == ["10", "10", "0", "0", "0", "0"]
    assert "LwM2M (plain): 10 devices carry no secret: no reset can touch them." in ended.stdout
    results = json.loads((tmp_path / "keyturn-report" / "results.json").read_text())
    assert list(results["protocols"]) == ["MQTT", "LwM2M (DTLS)", "LwM2M (plain)"]
    (rotate,) = (step for step in results["steps"] if step["id"] == "rotate")
    assert [one["refused"] for one in rotate["protocols"].values()] == [50, 0, 0]


def test_devices_asleep_through_the_overlap_are_stranded_and_named_if_they_keep_no_session(tmp_path: Path) -> None:
    ended = keyturn("run", "sleeping-devices", cwd=tmp_path)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    report = judge_folder(tmp_path / "keyturn-report").report
    assert measured(report, "stranded == 0 of forgetful") == 10
    assert measured(report, "stranded == 0 of dozing") == 0
    assert measured(report, "handshake: slot.primary == 100%") == 30
    for device in ("keyturn_forgetful-01", "keyturn_forgetful-02", "keyturn_forgetful-03"):
        assert f"\n{device}" in ended.stdout
    assert "fell asleep: it hears nothing" in ended.stdout


BRIEF = ("fleets.dozing.sleep.asleep=5s", "fleets.forgetful.sleep.asleep=5s", "timeline.wake.wait=6s")


@pytest.mark.parametrize("cure", ["fleets.forgetful.sleep.keeps_session=true", "timeline.overlap.wait=10s"])
def test_sleepers_are_saved_by_their_session_or_by_patience(tmp_path: Path, cure: str) -> None:
    changes = [word for change in (*BRIEF, cure) for word in ("--set", change)]
    ended = keyturn("run", "sleeping-devices", *changes, cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
