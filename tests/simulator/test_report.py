"""What people read of a run."""

import io
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console

from simulator.errors import UsageError
from simulator.oracle import Oracle
from simulator.report.diagram import mermaid
from simulator.report.folder import judge_folder, prepared, write_results
from simulator.report.junit import junit
from simulator.report.plan import print_plan
from simulator.report.progress import progress_line
from simulator.report.summary import print_summary
from simulator.report.timeline import device_lines
from simulator.scenario.parser import load, packaged
from tests.simulator.stories import NEW, Story, platform_header


def write(folder: Path, story: Story) -> None:
    folder.joinpath("device.jsonl").write_text("".join(json.dumps(record) + "\n" for record in story.records))
    folder.joinpath("platform.jsonl").write_text(json.dumps(platform_header()) + "\n")


def printed(folder: Path) -> str:
    judged = judge_folder(folder)
    out = io.StringIO()
    console = Console(file=out, width=100)
    print_summary(console, judged.report, judged.device_records, judged.platform_records)
    return out.getvalue()


def lost_story() -> Story:
    story = Story(("stranded == 0", "connected == 0%")).device(secondary=None)
    story.step(0.5, "up", "start").action(0.5, "up").online(1.0)
    story.step(2.0, "rotate").action(2.0, "rotate").reset(2.0, "primary", NEW).lost(2.01).refused(2.5, attempt=2)
    return story.at(2.5, "state", device="d1", state="locked_out").end(3.0)


def test_failing_summary_shows_the_verdict_its_evidence_and_the_story(tmp_path: Path) -> None:
    write(tmp_path, lost_story())
    text = printed(tmp_path)
    assert "✗  stranded == 0    1 of 1 (100%)" in text
    assert "✓  connected == 0%  0 of 1 (0%)" in text
    assert "refused (credential, code 4)" in text
    assert text.rstrip().endswith("FAILED (exit 1)")


def test_story_tells_what_another_broker_was_told_to_cut() -> None:
    about = {"device": "d1", "via": "rabbitmq"}
    records = [
        {"t": 1.0, "kind": "stray_cut", **about},
        {"t": 2.0, "kind": "cut_confirmed", "took_s": 0.01234, **about},
    ]
    assert device_lines("d1", [], records) == [
        (1.0, "platform", "rabbitmq was told to cut a connection of an earlier run"),
        (2.0, "platform", "rabbitmq has cut it, 0.012 s after it was asked to"),
    ]


def test_results_hold_what_the_summary_says(tmp_path: Path) -> None:
    write(tmp_path, lost_story())
    judged = judge_folder(tmp_path)
    write_results(tmp_path, judged)
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["end"]["stranded"] == 1
    assert [step["id"] for step in results["steps"]] == ["up", "rotate"]
    assert results["steps"][1]["refused"] == 1
    assert results["expectations"][0]["verdict"] == "failed"
    merged = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    assert len(merged) == len(judged.device_records) + len(judged.platform_records)
    assert merged == sorted(merged, key=lambda record: float(record["wall"]))


def test_junit_has_a_case_for_every_step_and_expectation(tmp_path: Path) -> None:
    write(tmp_path, lost_story())
    write_results(tmp_path, judge_folder(tmp_path))
    steps, expectations = ElementTree.parse(tmp_path / "junit.xml").getroot()
    assert [case.get("name") for case in steps] == ["up: start", "rotate: reset_secret"]
    assert (expectations.get("tests"), expectations.get("failures")) == ("2", "1")
    failure = expectations.find("testcase/failure")
    assert failure is not None
    assert (failure.get("message"), failure.text) == ("1 of 1 (100%)", "d1")


def test_junit_tells_invalid_and_crashed_from_failed(tmp_path: Path) -> None:
    write(tmp_path, Story(("outage.max < 1s",)).device().at(1.0, "crash", device="d1", traceback="Boom <&>").end(2.0))
    steps, expectations = ElementTree.fromstring(junit(judge_folder(tmp_path).report))
    assert [error.get("type") for error in (*steps.iter("error"), *expectations.iter("error"))] == ["crash", "invalid"]


def test_torn_last_line_is_counted_and_passed_over(tmp_path: Path) -> None:
    write(tmp_path, lost_story())
    with (tmp_path / "platform.jsonl").open("a") as file:
        file.write('{"t": 3.0, "kind": "acc')
    assert judge_folder(tmp_path).report.torn_lines == 1
    assert "1 torn journal lines" in printed(tmp_path)


def test_crash_is_shown_with_its_traceback(tmp_path: Path) -> None:
    write(tmp_path, Story().device().at(1.0, "crash", device="d1", traceback="Traceback\nBoom: it broke").end(2.0))
    text = printed(tmp_path)
    assert "Boom: it broke" in text
    assert "CRASHED (exit 4)" in text


@pytest.mark.parametrize("content", ["", "no json\n", '{"t":1,"kind":"device"}\n', '{"t":1,"kind":"header"}\n'])
def test_file_that_is_no_journal_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "device.jsonl").write_text(content)
    with pytest.raises(UsageError, match=r"device\.jsonl is not the journal of a run"):
        judge_folder(tmp_path)


def test_old_report_makes_room_and_is_kept_out_of_version_control(tmp_path: Path) -> None:
    write(tmp_path, lost_story())
    with prepared(tmp_path):
        assert sorted(path.name for path in tmp_path.iterdir()) == [".gitignore", ".lock"]


def test_folder_in_which_another_run_writes_is_refused(tmp_path: Path) -> None:
    with prepared(tmp_path), pytest.raises(UsageError, match="another run is writing there"), prepared(tmp_path):
        pass
    with prepared(tmp_path):
        pass


@pytest.mark.parametrize("name", packaged())
def test_plan_names_every_step(name: str) -> None:
    out, scenario = io.StringIO(), load(name)
    print_plan(Console(file=out, width=200), scenario)
    for step in scenario.timeline:
        assert f"{step.id}  {step.verb}" in out.getvalue()


def test_plan_hangs_a_step_below_what_it_waits_for(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(
        "name: n\nintent: routine\nfleets: {m: {count: 1}}\ntimeline:\n"
        "  - {id: a, start: [m]}\n  - {id: b, after: a, wait: 1s}\n  - {id: c, after: a, wait: 1s}\n"
        "  - {id: d, after: [b, c], wait: 1s}\n"
    )
    out = io.StringIO()
    print_plan(Console(file=out, width=120), load(path))
    assert "    ├── b" in out.getvalue()
    assert "(after b, c)" in out.getvalue()


def test_progress_line_says_what_runs_and_how_many_are_where() -> None:
    story = Story().device("d1").device("d2").step(0.5, "up", "start").online(1.0)
    line = progress_line(Oracle().feed_all(story.records))
    assert line == "[up] meters: 2 devices, 1 connected, 1 recovered, 1 primary"


def test_diagram_has_an_arrow_for_every_change_of_state() -> None:
    assert "    waiting --> connecting: timer" in mermaid()
    assert mermaid().startswith("stateDiagram-v2\n    [*] --> idle\n")
