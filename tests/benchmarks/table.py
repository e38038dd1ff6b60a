"""Figures as a table: for a terminal, or in Markdown for the README."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

from tests.benchmarks.lines import Figure, Line, Unit
from tests.benchmarks.meter import Result, machine
from tests.benchmarks.runs import Load

Results = Mapping[Load, Sequence[Result]]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a figure, as it is printed."""

    case: str
    best: str
    median: str
    ratio: str


def rows(figure: Figure, results: Results) -> list[Row]:
    return [
        Row(
            line.case,
            _written(_best(line, results), line.unit),
            _written(median(_values(line, results)), line.unit),
            _ratio(figure, line, results),
        )
        for line in figure.lines
    ]


def print_table(figures: Sequence[Figure], results: Results, about: str) -> None:
    printed = {figure.title: rows(figure, results) for figure in figures}
    width = max(len(row.case) for lines in printed.values() for row in lines)
    print(f"{heading(about)}\n\n{'':{width}}   {'best':>12}{'median':>12}{'to ours':>10}")
    for figure in figures:
        print(f"\n{figure.title}; to reach: {figure.reach}")
        for row in printed[figure.title]:
            print(f"  {row.case:{width}} {row.best:>12}{row.median:>12}{row.ratio:>10}")


def print_markdown(figures: Sequence[Figure], results: Results, about: str) -> None:
    print(f"{heading(about)}\n\n| | Best | Median | To ours |\n|---|---|---|---|")
    for figure in figures:
        print(f"| **{figure.title}**; to reach: {figure.reach} | | | |")
        for row in rows(figure, results):
            print(f"| {row.case} | {row.best} | {row.median} | {row.ratio} |")


def heading(about: str) -> str:
    return f"{machine()}, loopback; {datetime.now(UTC):%Y-%m-%d}; {about}"


def _values(line: Line, results: Results) -> list[float]:
    return [line.value(result) for result in results[line.load]]


def _best(line: Line, results: Results) -> float:
    return max(_values(line, results)) if line.more_is_better else min(_values(line, results))


def _ratio(figure: Figure, line: Line, results: Results) -> str:
    """How many times the best of the line that it is compared with."""
    if line.beside is None:
        return ""
    ours = _best(figure.lines[line.beside], results)
    return f"{_best(line, results) / ours:.2f}" if ours else ""


def _written(value: float, unit: Unit) -> str:
    return f"{value:,.{unit.digits}f}{unit.symbol}"
