"""Two runs side by side."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from simulator.errors import UsageError
from simulator.report.compare import differences, print_comparison, read_results

ONE: dict[str, Any] = {
    "scenario": "s",
    "run": "a",
    "started": 1.0,
    "seed": 1,
    "steps": [{"id": "up", "outage": {"p99": None}}, {"id": "rotate", "outage": {"p99": 0.5}}],
    "expectations": [{"text": "stranded == 0", "verdict": "passed", "worst": []}],
}


def another(p99: float) -> dict[str, Any]:
    other: dict[str, Any] = json.loads(json.dumps(ONE)) | {"run": "b", "started": 2.0}
    other["steps"][1]["outage"]["p99"] = p99
    return other


def test_same_results_of_two_runs_do_not_differ() -> None:
    assert differences(ONE, another(0.5)) == []


def test_difference_is_named_by_step_and_statistic() -> None:
    assert differences(ONE, another(1.0)) == [("steps[rotate].outage.p99", 0.5, 1.0)]


def test_what_one_run_lacks_is_none() -> None:
    other = another(0.5)
    other["expectations"] = []
    assert ("expectations[stranded == 0].verdict", "passed", None) in differences(ONE, other)


def test_table_shows_the_ratio(tmp_path: Path) -> None:
    for name, found in (("a", ONE), ("b", another(1.0))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.json").write_text(json.dumps(found))
    out = io.StringIO()
    print_comparison(Console(file=out, width=200), tmp_path / "a", tmp_path / "b")
    (row,) = [line.split() for line in out.getvalue().splitlines() if "rotate" in line]
    assert row == ["steps[rotate].outage.p99", "0.5", "1", "2.00"]


@pytest.mark.parametrize("content", [None, "", "[]", "{}"])
def test_folder_without_results_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "results.json").write_text(content)
    with pytest.raises(UsageError, match=r"results\.json"):
        read_results(tmp_path)
