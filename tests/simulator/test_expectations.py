"""Expectations: the grammar, its errors, and the verdicts."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.expectations import Expectation, ExpectationError, Measurement, Verdict, holds, judge, parse
from simulator.metrics import METRICS, Kind, Metric

GOOD = {
    "stranded == 0": Expectation("stranded == 0", "stranded", "==", 0),
    "connected==100%": Expectation("connected==100%", "connected", "==", 100, percent=True),
    "rotate: outage.p99 < 5s": Expectation("rotate: outage.p99 < 5s", "outage", "<", 5, "rotate", "p99"),
    "rotate :outage.p99<5s": Expectation("rotate :outage.p99<5s", "outage", "<", 5, "rotate", "p99"),
    "up: slot.primary >= 99.5% of meters": Expectation(
        "up: slot.primary >= 99.5% of meters", "slot", ">=", 99.5, "up", "primary", True, "meters"
    ),
    "connects <= 1200": Expectation("connects <= 1200", "connects", "<=", 1200, stat="total"),
    "connects.peak_per_second != 40": Expectation(
        "connects.peak_per_second != 40", "connects", "!=", 40, stat="peak_per_second"
    ),
    "outage.max > 1.5m": Expectation("outage.max > 1.5m", "outage", ">", 90, stat="max"),
    "outage.mean < 250ms": Expectation("outage.mean < 250ms", "outage", "<", 0.25, stat="mean"),
    "loop_lag.p50 < 100us": Expectation("loop_lag.p50 < 100us", "loop_lag", "<", 0.0001, stat="p50"),
    "exposure.min < 25h": Expectation("exposure.min < 25h", "exposure", "<", 90_000, stat="min"),
    "outage.count == 0": Expectation("outage.count == 0", "outage", "==", 0, stat="count"),
    "refused_per_device.mean < 1.5": Expectation(
        "refused_per_device.mean < 1.5", "refused_per_device", "<", 1.5, stat="mean"
    ),
    "  messages.lost == 0 ": Expectation("messages.lost == 0", "messages", "==", 0, stat="lost"),
}

BAD = {
    "": (1, "a metric is needed first, e.g. 'stranded == 0'"),
    "   ": (4, "a metric is needed first, e.g. 'stranded == 0'"),
    "== 3": (1, "a metric is needed first, e.g. 'stranded == 0'"),
    "rotate:": (8, "a metric is needed after 'rotate:'"),
    "outag.p99 < 5s": (1, "unknown metric 'outag'; did you mean 'outage'?"),
    "up: Stranded == 0": (5, "unknown metric 'Stranded'; did you mean 'stranded'?"),
    "rotate: up: stranded == 0": (9, f"unknown metric 'up'; the metrics are {', '.join(METRICS)}"),
    "slot == 5": (1, "slot needs a statistic: slot.primary, slot.secondary"),
    "outage.p9 < 5s": (8, "outage has no statistic 'p9'; did you mean 'p99'?"),
    "outage.zz < 5s": (
        8,
        "outage has no statistic 'zz'; the statistics are p50, p90, p95, p99, max, mean, min, count",
    ),
    "outage. p99 < 5s": (8, "a statistic is needed after 'outage.'"),
    "connected.all == 5": (11, "connected has no statistics; write it alone"),
    "stranded": (9, "an operator is needed: < <= == != >= >"),
    "stranded is 0": (10, "an operator is needed: < <= == != >= >"),
    "stranded = 0": (10, "unknown operator '='; the operators are < <= == != >= >"),
    "stranded => 0": (10, "unknown operator '=>'; the operators are < <= == != >= >"),
    "stranded ==": (12, "a number is needed, e.g. 5"),
    "stranded == -1": (13, "a number is needed, e.g. 5"),
    "stranded == .5": (13, "a number is needed, e.g. 5"),
    "stranded == 1.2.3": (13, "a number is needed, e.g. 5"),
    "stranded == nan": (13, "a number is needed, e.g. 5"),
    "stranded == 9999999999999999": (13, "a number is needed, e.g. 5"),
    "stranded == ٣": (13, "a number is needed, e.g. 5"),
    "outage.p99 < 5": (14, "a duration is needed, e.g. 5s"),
    "outage.p99 < 5 s": (14, "a duration is needed, e.g. 5s"),
    "outage.p99 < 5%": (15, "unknown unit '%'; a duration is needed in us, ms, s, m, h"),
    "outage.p99 < 5parsecs": (15, "unknown unit 'parsecs'; a duration is needed in us, ms, s, m, h"),
    "outage.count == 5s": (18, "unknown unit 's'; outage is compared with a plain number"),
    "refused == 3%": (13, "unknown unit '%'; refused is compared with a plain number"),
    "stranded == 1e5": (14, "unknown unit 'e5'; stranded is compared with a number or a %"),
    "connected == 101%": (14, "a share is at most 100%, not 101%"),
    "connected >= 0.7": (14, "a whole number of devices or a % is needed, not 0.7"),
    "connected == 100 %": (18, "unexpected '%'; only 'of FLEET' may follow"),
    "connected == 100% in meters": (19, "unexpected 'in'; only 'of FLEET' may follow"),
    "connected == 100% of": (21, "a fleet is needed after 'of'"),
    "connected == 100% of a b": (24, "unexpected 'b' after the fleet"),
    "loop_lag.p99 < 1s of meters": (22, "loop_lag belongs to the simulator, not to a fleet"),
    "x" * 501: (501, "more than 500 characters"),
}

NAMES = st.from_regex(r"[a-z0-9_-]{1,12}", fullmatch=True)
FORMS = [
    (metric, stat, form)
    for metric in METRICS.values()
    for stat in metric.stats or (None,)
    for form in [f"{metric.name}.{stat}" if stat else metric.name]
]


@pytest.mark.parametrize("text", GOOD, ids=str.strip)
def test_a_good_text_is_read(text: str) -> None:
    assert parse(text) == GOOD[text]


@pytest.mark.parametrize("text", BAD, ids=lambda text: text[:40] or "empty")
def test_a_bad_text_is_refused_at_the_offending_word(text: str) -> None:
    with pytest.raises(ExpectationError) as caught:
        parse(text)
    assert (caught.value.column, caught.value.message) == BAD[text]


def test_the_error_as_text_shows_column_and_expectation() -> None:
    with pytest.raises(ExpectationError) as caught:
        parse("stranded = 0")
    assert str(caught.value).endswith("(column 10 of 'stranded = 0')")


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("rotate: connected == 100%", 1, "no step is named here: the condition is about its own step"),
        ("outage.p99 < 5s", 8, "outage.p99 is known only after the run; while it runs: connected, recovered, "),
        ("unsettled == 0", 1, "unsettled is known only after the run; while it runs: connected, "),
        ("connects.peak_per_second < 5", 10, "connects.peak_per_second is known only after the run; "),
    ],
)
def test_a_live_condition_takes_live_metrics_only(text: str, column: int, message: str) -> None:
    with pytest.raises(ExpectationError) as caught:
        parse(text, live=True)
    assert caught.value.column == column
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize("text", ["connected == 100%", "refused.credential > 3", "connects < 9", "slot.primary == 1"])
def test_a_live_condition_reads_like_any_other(text: str) -> None:
    assert parse(text, live=True) == parse(text)


@given(
    form=st.sampled_from(FORMS),
    sign=st.sampled_from(["<", "<=", "==", "!=", ">=", ">"]),
    number=st.integers(0, 100),
    step=st.none() | NAMES,
    fleet=st.none() | NAMES,
    space=st.sampled_from(["", " ", "\t "]),
    percent=st.booleans(),
)
def test_what_is_written_by_the_grammar_is_read_back(
    form: tuple[Metric, str | None, str],
    sign: str,
    number: int,
    step: str | None,
    fleet: str | None,
    space: str,
    percent: bool,
) -> None:
    metric, stat, name = form
    percent = percent and metric.kind is Kind.POPULATION
    fleet = fleet if metric.by_fleet else None
    unit = "%" if percent else "s" if metric.is_duration(stat) else ""
    before, after = f"{step}{space}:{space}" if step else "", f" of {fleet}" if fleet else ""
    text = f"{before}{name}{space}{sign}{space}{number}{unit}{after}"
    assert parse(text) == Expectation(text, metric.name, sign, number, step, stat, percent, fleet)


@given(st.text() | st.text(alphabet="outage.p9conecd:<=>!%5smhof \t", max_size=30), st.booleans())
def test_any_text_is_an_expectation_or_raises_only_expectation_error(text: str, live: bool) -> None:
    try:
        parse(text, live=live)
        column = 1
    except ExpectationError as error:
        column = error.column
    assert 1 <= column <= len(text) + 1


def verdict(text: str, measurement: Measurement) -> tuple[Verdict, str]:
    outcome = judge(parse(text), lambda expectation: measurement)
    return outcome.verdict, outcome.observed


@pytest.mark.parametrize(
    ("text", "value", "expected", "observed"),
    [
        ("outage.p99 < 5s", 2.31, Verdict.PASSED, "2.31 s"),
        ("outage.p99 < 5s", 5.0, Verdict.FAILED, "5 s"),
        ("outage.p99 <= 5s", 5.0, Verdict.PASSED, "5 s"),
        ("outage.p99 <= 300ms", 0.3, Verdict.PASSED, "300 ms"),
        ("outage.p99 < 5s", 0.0123, Verdict.PASSED, "12.3 ms"),
        ("outage.p99 < 5s", 0.00004, Verdict.PASSED, "40 us"),
        ("outage.p99 < 5s", 0.0, Verdict.PASSED, "0 s"),
        ("outage.p99 < 5s", 1234.5, Verdict.FAILED, "1234 s"),
        ("outage.count == 3", 3, Verdict.PASSED, "3"),
        ("refused_per_device.mean < 2", 1.25, Verdict.PASSED, "1.25"),
        ("messages.sent > 5", 1_234_567, Verdict.PASSED, "1234567"),
        ("stranded != 0", 0, Verdict.FAILED, "0"),
        ("stranded >= 1", 0, Verdict.FAILED, "0"),
        ("stranded > 0", 1, Verdict.PASSED, "1"),
    ],
)
def test_a_number_is_judged_and_told(text: str, value: float, expected: Verdict, observed: str) -> None:
    assert verdict(text, Measurement(value, samples=1)) == (expected, observed)


@pytest.mark.parametrize(
    ("text", "value", "total", "expected", "observed"),
    [
        ("connected == 100%", 500, 500, Verdict.PASSED, "500 of 500 (100%)"),
        ("connected == 100%", 498, 500, Verdict.FAILED, "498 of 500 (99.6%)"),
        ("connected == 100%", 999_999, 1_000_000, Verdict.FAILED, "999999 of 1000000 (99.9%)"),
        ("connected == 99.6%", 498, 500, Verdict.PASSED, "498 of 500 (99.6%)"),
        ("connected >= 99.7%", 498, 500, Verdict.FAILED, "498 of 500 (99.6%)"),
        ("connected == 0.1%", 1, 1000, Verdict.PASSED, "1 of 1000 (0.1%)"),
        ("connected == 498", 498, 500, Verdict.PASSED, "498 of 500 (99.6%)"),
        ("stranded == 0", 0, 0, Verdict.PASSED, "0"),
    ],
)
def test_a_share_is_compared_by_exact_counts(
    text: str, value: float, total: float, expected: Verdict, observed: str
) -> None:
    assert verdict(text, Measurement(value, total)) == (expected, observed)


@given(st.integers(1, 2**53), st.integers(1, 2**53))
def test_one_hundred_percent_means_all(value: int, total: int) -> None:
    value = min(value, total)
    assert holds(parse("recovered == 100%"), Measurement(value, total)) is (value == total)


@pytest.mark.parametrize(
    ("text", "measurement", "reason"),
    [
        ("outage.p99 < 5s", Measurement(None), "no samples"),
        ("outage.p99 < 5s", Measurement(1.0, samples=0), "no samples"),
        ("outage.p99 < 5s", Measurement(math.nan, samples=4), "not measured"),
        ("outage.p99 < 5s", Measurement(math.inf, samples=4), "not measured"),
        ("outage.p99 < 5s", Measurement(1.0, samples=4, invalid="generator-limited"), "generator-limited"),
        ("stranded == 0", Measurement(None), "not measured"),
        ("stranded == 0%", Measurement(0), "no devices"),
        ("stranded == 0%", Measurement(0, 0), "no devices"),
        ("stranded == 0%", Measurement(0, math.nan), "no devices"),
    ],
)
def test_what_cannot_be_measured_is_invalid_and_never_holds(text: str, measurement: Measurement, reason: str) -> None:
    assert verdict(text, measurement) == (Verdict.INVALID, reason)
    assert not holds(parse(text), measurement)


def test_no_samples_at_all_is_a_count_of_zero() -> None:
    assert verdict("outage.count == 0", Measurement(0)) == (Verdict.PASSED, "0")


def test_an_outcome_names_its_expectation_and_the_worst_devices() -> None:
    expectation = parse("stranded == 0")
    outcome = judge(expectation, {expectation: Measurement(2, 5, worst=("m-1", "m-2"))}.__getitem__)
    assert outcome.expectation is expectation
    assert outcome.worst == ("m-1", "m-2")
    assert str(outcome.expectation) == "stranded == 0"


def test_a_condition_holds_or_does_not() -> None:
    assert holds(parse("stranded > 0"), Measurement(1, 5))
    assert not holds(parse("stranded > 0"), Measurement(0, 5))
