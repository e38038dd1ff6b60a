"""The verdict on a run: from its two journals, and nothing else, to what was expected, seen and concluded. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from simulator.books import Books
from simulator.expectations import Expectation, Measurement, Outcome, Verdict, judge, parse
from simulator.facts import StepFacts
from simulator.measure import Measures
from simulator.oracle import Oracle

Record = dict[str, Any]

WORST_DEVICES = 3


class ExitCode(IntEnum):
    """What the command `run` returns."""

    PASSED = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    CRASHED = 4
    INVALID = 5
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class RunReport:
    """A judged run."""

    header: Record
    steps: Sequence[StepFacts]
    outcomes: Sequence[Outcome]
    oracle: Oracle
    measures: Measures
    interrupted: bool
    unreachable: str | None
    torn_lines: int

    @property
    def exit_code(self) -> ExitCode:
        """Interrupted, crashed, unreachable, failed, invalid, passed: the first that is true."""
        if self.interrupted:
            return ExitCode.INTERRUPTED
        if self.oracle.crashes:
            return ExitCode.CRASHED
        if self.unreachable is not None:
            return ExitCode.UNREACHABLE
        verdicts = {outcome.verdict for outcome in self.outcomes}
        if Verdict.FAILED in verdicts or any(step.state in ("failed", "skipped") for step in self.steps):
            return ExitCode.FAILED
        return ExitCode.INVALID if Verdict.INVALID in verdicts else ExitCode.PASSED

    @property
    def worst(self) -> list[str]:
        """The devices whose story says most about what failed."""
        failed = [outcome for outcome in self.outcomes if outcome.verdict is Verdict.FAILED]
        named = dict.fromkeys(device for outcome in failed for device in outcome.worst)
        return list(named)[:WORST_DEVICES]

    def protocols(self, fleets: Iterable[str]) -> list[str]:
        """What the devices of these fleets speak, in the order of the fleets."""
        return list(dict.fromkeys(device.protocol for name in fleets for device in self.oracle.fleets[name]))

    def measure(self, text: str, protocol: str | None = None) -> Measurement:
        """Measure what any expectation speaks of, for all devices or for those of one protocol."""
        measures = self.measures if protocol is None else self.measures.of_protocol(protocol)
        return measures(parse(text))


def judge_run(
    device_records: Sequence[Record], platform_records: Iterable[Record] | None, torn_lines: int = 0
) -> RunReport:
    """Judge a run by its journals; ValueError when the first is not the journal of a run."""
    if not device_records or device_records[0]["kind"] != "header":
        raise ValueError("no header in the first line")
    oracle = Oracle().feed_all(device_records)
    books = Books(device_records, platform_records) if platform_records is not None else None
    measures = Measures(oracle, books, oracle.header["loop_lag_limit"])
    expectations: list[Expectation] = [parse(text) for text in oracle.header["expect"]]
    ended = next((record for record in reversed(device_records) if record["kind"] == "ended"), None)
    return RunReport(
        header=oracle.header,
        steps=list(oracle.steps.values()),
        outcomes=[judge(expectation, measures) for expectation in expectations],
        oracle=oracle,
        measures=measures,
        interrupted=ended is None or ended["interrupted"],
        unreachable=ended["unreachable"] if ended else None,
        torn_lines=torn_lines,
    )
