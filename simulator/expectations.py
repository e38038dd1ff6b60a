"""Expectations: `[step ":"] metric ["." stat] op number[unit|%] ["of" fleet]`, read from text and judged.

Pure: what was observed comes in as a `Measurement`, and an `Outcome` goes out.
"""

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import NoReturn

from simulator.metrics import METRICS, Kind, Metric
from simulator.suggestions import hint

LONGEST_TEXT = 500

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_OPERATOR = re.compile(r"[<>=!~]+")
_NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]{1,9})?(?![0-9.])")
_WORD = re.compile(r"\S+")
_SPACE = re.compile(r"\s*")
_COLON = re.compile(r"\s*:")

_OPERATORS: dict[str, Callable[[Fraction, Fraction], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    ">": operator.gt,
}
_SECONDS_IN = {
    "us": Decimal("0.000001"),
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
}


class ExpectationError(ValueError):
    """A text that is no expectation; `column` counts from 1 and points at the offending word."""

    def __init__(self, message: str, text: str, column: int) -> None:
        super().__init__(f"{message} (column {column} of {text!r})")
        self.message = message
        self.text = text
        self.column = column


@dataclass(frozen=True, slots=True)
class Expectation:
    """One condition. `threshold` is in the metric's base unit (seconds for times), or percent points."""

    text: str
    metric: str
    operator: str
    threshold: float
    step: str | None = None
    stat: str | None = None
    percent: bool = False
    fleet: str | None = None

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was observed, in the metric's base unit.

    `total`: the devices that a % is a share of. `worst`: ids of the devices that say most, worst first.
    `invalid`: why nothing may be concluded from it.
    """

    value: float | None
    total: float | None = None
    samples: int = 0
    worst: tuple[str, ...] = ()
    invalid: str | None = None


class Verdict(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Outcome:
    """An expectation with its verdict; `observed` is the evidence: `2.31 s`, `498 of 500 (99.6%)`."""

    expectation: Expectation
    verdict: Verdict
    observed: str
    worst: tuple[str, ...] = ()


def judge(expectation: Expectation, measure: Callable[[Expectation], Measurement]) -> Outcome:
    """Measure and compare; without samples, devices or a valid measurement the verdict is *invalid*."""
    measurement = measure(expectation)
    if reason := _unusable(expectation, measurement):
        return Outcome(expectation, Verdict.INVALID, reason, measurement.worst)
    verdict = Verdict.PASSED if _compare(expectation, measurement) else Verdict.FAILED
    return Outcome(expectation, verdict, _observed(expectation, measurement), measurement.worst)


def holds(expectation: Expectation, measurement: Measurement) -> bool:
    """Whether it is true right now; what cannot be measured is not."""
    return not _unusable(expectation, measurement) and _compare(expectation, measurement)


def parse(text: str, *, live: bool = False) -> Expectation:
    """Read one expectation, or raise ExpectationError; `live` allows only what an `until` may say."""
    if len(text) > LONGEST_TEXT:
        raise ExpectationError(f"more than {LONGEST_TEXT} characters", text[:40], LONGEST_TEXT + 1)
    reader = _Reader(text)
    step, metric = reader.step_and_metric(live=live)
    stat = reader.stat(metric)
    if live and not metric.is_live(stat):
        form = metric.name if stat is None else f"{metric.name}.{stat}"
        reader.fail(f"{form} is known only after the run; while it runs: {', '.join(_live_names())}")
    sign = reader.operator()
    threshold, percent = reader.threshold(metric, stat)
    fleet = reader.fleet(metric)
    return Expectation(text.strip(), metric.name, sign, threshold, step, stat, percent, fleet)


def _unusable(expectation: Expectation, measurement: Measurement) -> str | None:
    if measurement.invalid is not None:
        return measurement.invalid
    metric = METRICS[expectation.metric]
    counted = metric.kind is not Kind.SAMPLE or expectation.stat == "count"
    if not counted and not measurement.samples:
        return "no samples"
    if measurement.value is None or not math.isfinite(measurement.value):
        return "not measured"
    if expectation.percent and _devices(measurement) is None:
        return "no devices"
    return None


def _devices(measurement: Measurement) -> Fraction | None:
    total = measurement.total
    return Fraction(total) if total and math.isfinite(total) else None


def _compare(expectation: Expectation, measurement: Measurement) -> bool:
    value, threshold = Fraction(measurement.value or 0), Fraction(expectation.threshold)
    if expectation.percent:
        # repr gives back the decimal as it was typed, so that 99.6% of 500 is exactly 498.
        threshold = Fraction(repr(expectation.threshold)) * (_devices(measurement) or 0) / 100
    return _OPERATORS[expectation.operator](value, threshold)


def _observed(expectation: Expectation, measurement: Measurement) -> str:
    value, metric = measurement.value or 0, METRICS[expectation.metric]
    if metric.is_duration(expectation.stat):
        return _seconds(value)
    if metric.kind is Kind.POPULATION and (devices := _devices(measurement)):
        # Rounded down: 100% means all of them.
        tenths = math.floor(Fraction(value) * 1000 / devices)
        return f"{value:.10g} of {measurement.total:.10g} ({tenths / 10:g}%)"
    return f"{value:.10g}"


def _seconds(value: float) -> str:
    for unit, scale in (("s", 1), ("ms", 1_000), ("us", 1_000_000)):
        if abs(value) * scale >= 1:
            scaled = value * scale
            return f"{scaled:.0f} {unit}" if scaled >= 100 else f"{scaled:.3g} {unit}"
    return f"{value:.3g} s"


def _live_names() -> list[str]:
    return [form for metric in METRICS.values() if metric.live for form in _live_forms(metric)]


def _live_forms(metric: Metric) -> list[str]:
    return [f"{metric.name}.{stat}" if stat else metric.name for stat in metric.live]


class _Reader:
    """Reads one expectation from left to right; `start` is where the word read last began."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._start = 0

    def fail(self, message: str) -> NoReturn:
        """Refuse the text because of the word read last."""
        raise ExpectationError(message, self._text, self._start + 1)

    def step_and_metric(self, *, live: bool) -> tuple[str | None, Metric]:
        word, step = self._need(_NAME, "a metric is needed first, e.g. 'stranded == 0'"), None
        if _COLON.match(self._text, self._at):
            if live:
                self.fail("no step is named here: the condition is about its own step")
            self._take(_COLON)
            step, word = word, self._need(_NAME, f"a metric is needed after '{word}:'")
        if word not in METRICS:
            self.fail(f"unknown metric {word!r}{hint(word, METRICS, 'metrics')}")
        return step, METRICS[word]

    def stat(self, metric: Metric) -> str | None:
        if self._text[self._at : self._at + 1] != ".":
            if metric.stats and metric.default is None:
                self.fail(f"{metric.name} needs a statistic: {', '.join(metric.forms())}")
            return metric.default
        self._at += 1
        stat = self._need(_NAME, f"a statistic is needed after '{metric.name}.'", spaced=False)
        if not metric.stats:
            self.fail(f"{metric.name} has no statistics; write it alone")
        if stat not in metric.stats:
            self.fail(f"{metric.name} has no statistic {stat!r}{hint(stat, metric.stats, 'statistics')}")
        return stat

    def operator(self) -> str:
        sign = self._need(_OPERATOR, f"an operator is needed: {' '.join(_OPERATORS)}")
        if sign not in _OPERATORS:
            self.fail(f"unknown operator {sign!r}; the operators are {' '.join(_OPERATORS)}")
        return sign

    def threshold(self, metric: Metric, stat: str | None) -> tuple[float, bool]:
        number = self._need(_NUMBER, "a number is needed, e.g. 5")
        at_number = self._start
        unit = self._take(_WORD, spaced=False) or ""
        if metric.is_duration(stat):
            if not unit:
                self._start = at_number
                self.fail(f"a duration is needed, e.g. {number}s")
            if unit not in _SECONDS_IN:
                self.fail(f"unknown unit {unit!r}; a duration is needed in {', '.join(_SECONDS_IN)}")
            return float(Decimal(number) * _SECONDS_IN[unit]), False
        return float(number), self._percent(metric, number, unit, at_number)

    def _percent(self, metric: Metric, number: str, unit: str, at_number: int) -> bool:
        of_devices = metric.kind is Kind.POPULATION
        if unit and (unit != "%" or not of_devices):
            allowed = "a number or a %" if of_devices else "a plain number"
            self.fail(f"unknown unit {unit!r}; {metric.name} is compared with {allowed}")
        self._start = at_number
        if unit and float(number) > 100:
            self.fail(f"a share is at most 100%, not {number}%")
        if of_devices and not unit and "." in number:
            self.fail(f"a whole number of devices or a % is needed, not {number}")
        return bool(unit)

    def fleet(self, metric: Metric) -> str | None:
        word = self._take(_WORD)
        if word is None:
            return None
        if word != "of":
            self.fail(f"unexpected {word!r}; only 'of FLEET' may follow")
        fleet = self._need(_NAME, "a fleet is needed after 'of'")
        if not metric.by_fleet:
            self.fail(f"{metric.name} belongs to the simulator, not to a fleet")
        if rest := self._take(_WORD):
            self.fail(f"unexpected {rest!r} after the fleet")
        return fleet

    def _need(self, pattern: re.Pattern[str], message: str, *, spaced: bool = True) -> str:
        return self._take(pattern, spaced=spaced) or self.fail(message)

    def _take(self, pattern: re.Pattern[str], *, spaced: bool = True) -> str | None:
        if spaced:
            space = _SPACE.match(self._text, self._at)
            self._at = space.end() if space else self._at
        self._start = self._at
        found = pattern.match(self._text, self._at)
        if not found:
            return None
        self._at = found.end()
        return found.group()
