"""From two journals to an exit code."""

import pytest

from simulator.verdict import ExitCode, judge_run
from tests.simulator.stories import Story, platform_header

PLATFORM = [platform_header()]


def exit_code(story: Story) -> ExitCode:
    return judge_run(story.records, PLATFORM).exit_code


def test_met_expectations_pass() -> None:
    assert exit_code(Story(("stranded == 0",)).device().online(1.0).end(2.0)) is ExitCode.PASSED


def test_failed_expectation_fails_and_names_the_worst() -> None:
    report = judge_run(Story(("connected == 100%",)).device().end(2.0).records, PLATFORM)
    assert report.exit_code is ExitCode.FAILED
    assert report.worst == ["d1"]


@pytest.mark.parametrize("state", ["failed", "skipped"])
def test_step_that_did_not_get_there_fails(state: str) -> None:
    story = Story().device().step(1.0, "up").at(2.0, "step", step="up", verb="start", state=state, fleets=["meters"])
    assert exit_code(story.end(3.0)) is ExitCode.FAILED


def test_expectation_without_samples_is_invalid() -> None:
    assert exit_code(Story(("outage.p99 < 1s",)).device().online(1.0).end(2.0)) is ExitCode.INVALID


def test_failure_outweighs_invalidity() -> None:
    story = Story(("outage.p99 < 1s", "connected == 0%")).device().online(1.0).end(2.0)
    assert exit_code(story) is ExitCode.FAILED


def test_unreachable_platform_outweighs_failure() -> None:
    story = Story(("connected == 100%",)).device().end(2.0, unreachable="no answer")
    assert exit_code(story) is ExitCode.UNREACHABLE


def test_crash_outweighs_all_but_an_interrupt() -> None:
    story = Story().device().at(1.0, "crash", device="d1", traceback="Boom").end(2.0, unreachable="no answer")
    assert exit_code(story) is ExitCode.CRASHED
    story = Story().device().at(1.0, "crash", device="d1", traceback="Boom").end(2.0, interrupted=True)
    assert exit_code(story) is ExitCode.INTERRUPTED


def test_journal_without_an_end_was_interrupted() -> None:
    assert exit_code(Story().device().online(1.0)) is ExitCode.INTERRUPTED


def test_platform_metric_without_its_journal_is_invalid_never_passed() -> None:
    story = Story(("messages.lost == 0",)).device().online(1.0).end(2.0)
    assert judge_run(story.records, None).exit_code is ExitCode.INVALID
    assert judge_run(story.records, PLATFORM).exit_code is ExitCode.PASSED


@pytest.mark.parametrize("records", [[], [{"t": 1.0, "kind": "device"}]])
def test_what_is_no_journal_of_a_run_is_refused(records: list[dict[str, object]]) -> None:
    with pytest.raises(ValueError, match="no header"):
        judge_run(records, None)
