"""The summary on the terminal: the verdict with its evidence."""

from collections.abc import Iterator, Sequence
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from simulator.expectations import Verdict
from simulator.report.results import exit_word, results
from simulator.report.timeline import device_lines
from simulator.verdict import ExitCode, RunReport

Record = dict[str, Any]

MARKS = {Verdict.PASSED: ("✓", "green"), Verdict.FAILED: ("✗", "bold red"), Verdict.INVALID: ("?", "yellow")}
STEP_COLOURS = {"done": "green", "failed": "bold red", "skipped": "yellow", "running": "yellow"}
LONGEST_STORY = 24


def print_summary(
    console: Console, report: RunReport, device_records: Sequence[Record], platform_records: Sequence[Record]
) -> None:
    """Print steps, expectations, and, for a failure, the stories of the worst devices."""
    found = results(report)
    console.print(_headline(report, found))
    console.print(_steps(found))
    console.print(Group(*_protocols(found), _end(found)))
    if found["expectations"]:
        console.print(_expectations(report))
    for device_id in report.worst:
        console.print(_story(report, device_id, device_records, platform_records))
    for crash in report.oracle.crashes[:1]:
        console.print(Text(f"\nThe simulator crashed {len(report.oracle.crashes)} times, first in {crash['device']}:"))
        console.print(Text(crash["traceback"], style="red"))
    console.print(_verdict(report, found))


def _headline(report: RunReport, found: dict[str, Any]) -> RenderableType:
    title = Text.assemble("\n", (found["scenario"], "bold"))
    title.append(f"\n{found['devices']} devices, seed {found['seed']}, {found['duration']:.1f} s, {found['intent']}")
    if report.unreachable:
        title.append(f"\nThe platform went away: {report.unreachable}", style="red")
    if found["torn_lines"]:
        title.append(f"\n{found['torn_lines']} torn journal lines were passed over", style="yellow")
    return title


def _steps(found: dict[str, Any]) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("step", "state"):
        table.add_column(name, no_wrap=True)
    for name in ("took", "connects", "refused", "outage p50", "p99", "max"):
        table.add_column(name, justify="right", no_wrap=True)
    details: list[Text] = []
    for step in found["steps"]:
        state = Text(step["state"], style=STEP_COLOURS[step["state"]])
        table.add_row(step["id"], state, _seconds(step["duration"]), *_numbers(step))
        for protocol, apart in step.get("protocols", {}).items():
            table.add_row(f"  {protocol}", "", "", *_numbers(apart), style="dim")
        if step["detail"]:
            details.append(Text(f"{step['id']}: {step['detail']}", style=STEP_COLOURS[step["state"]]))
    return Group(table, *details)


def _numbers(found: dict[str, Any]) -> Iterator[str]:
    outage = found.get("outage") or {}
    yield from (_count(found.get(name)) for name in ("connects", "refused"))
    yield from (_seconds(outage.get(stat)) for stat in ("p50", "p99", "max"))


def _protocols(found: dict[str, Any]) -> Iterator[RenderableType]:
    """What became of the devices of each protocol, side by side; nothing where all speak the same."""
    if len(found["protocols"]) > 1:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        table.add_column("at the end", no_wrap=True)
        for name in ("devices", "connected", "primary", "secondary", "stranded", "stale"):
            table.add_column(name, justify="right", no_wrap=True)
        for protocol, one in found["protocols"].items():
            end, slots = one["end"], one["slots"]
            shown = (end["connected"], slots["primary"], slots["secondary"], end["stranded"], one["stale_sessions"])
            table.add_row(protocol, _count(one["devices"]), *map(_count, shown))
        yield table
    for protocol, one in found["protocols"].items():
        if not one["presents_secret"]:
            yield Text(f"{protocol}: {_count(one['devices'])} devices carry no secret: no reset can touch them.")


def _end(found: dict[str, Any]) -> RenderableType:
    end, slots, messages = found["end"], found["slots"], found["messages"]
    parts = [
        f"{_count(end['connected'])} connected ({_count(slots['primary'])} on the primary, "
        f"{_count(slots['secondary'])} on the secondary)"
    ]
    parts += [f"{_count(end[name])} {name.replace('_', ' ')}" for name in ("stranded", "gave_up", "unsettled")]
    line = Text("At the end: " + ", ".join(parts))
    if messages["sent"] is None:  # without the platform's journal the exposure is not known either
        return line
    line.append(f"\nMessages:   {_told(messages, 'sent', 'lost', 'unconfirmed', 'duplicated')}")
    if found["downlinks"]["sent"]:
        line.append(f"\nDownlinks:  {_told(found['downlinks'], 'sent', 'queued', 'lost', 'duplicated')}")
    if found["intent"] == "revocation" or found["exposure"]["max"]:
        longest = found["exposure"]["max"]
        told = "none" if longest is None else f"{_seconds(longest)} at the longest on a retired secret"
        line.append(f"\nExposure:   {told}")
    return line


def _told(counts: dict[str, float | None], *names: str) -> str:
    return ", ".join(f"{_count(counts[name])} {name}" for name in names)


def _expectations(report: RunReport) -> RenderableType:
    table = Table(box=None, show_header=False, pad_edge=False)
    for outcome in report.outcomes:
        mark, style = MARKS[outcome.verdict]
        table.add_row(Text(mark, style=style), Text(outcome.expectation.text), Text(outcome.observed, style="dim"))
    return Padding(table, (1, 0, 0, 0))


def _story(
    report: RunReport, device_id: str, device_records: Sequence[Record], platform_records: Sequence[Record]
) -> RenderableType:
    lines = device_lines(device_id, device_records, platform_records)
    table = Table(box=None, show_header=False, pad_edge=False)
    for t, who, what in _shortened(lines):
        table.add_row(Text(t if isinstance(t, str) else f"{t - report.header['t']:.3f} s", style="dim"), who, what)
    return Group(Text(f"\n{device_id}", style="bold"), table)


def _shortened(lines: Sequence[tuple[float, str, str]]) -> Iterator[tuple[float | str, str, str]]:
    """The beginning and the end of a long story."""
    if len(lines) <= LONGEST_STORY:
        yield from lines
        return
    half = LONGEST_STORY // 2
    yield from lines[:half]
    yield "…", "", f"{len(lines) - 2 * half} lines more in journal.jsonl"
    yield from lines[-half:]


def _verdict(report: RunReport, found: dict[str, Any]) -> RenderableType:
    code = report.exit_code
    colour = "bold green" if code is ExitCode.PASSED else "bold red"
    line = Text.assemble("\n", (exit_word(code), colour), f" (exit {int(code)})")
    limit = report.header["loop_lag_limit"]
    if (found["lag_p99"] or 0.0) > limit:
        line.append(
            f"\nThis simulator was late itself: loop lag p99 {found['lag_p99'] * 1000:.0f} ms, "
            f"limit {limit * 1000:.0f} ms. Counts hold; times and rates are invalid.",
            style="yellow",
        )
    return line


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


def _count(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"
