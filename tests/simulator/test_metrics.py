"""The metric table: closed, consistent with itself, and drawn as Markdown."""

import pytest

from simulator.metrics import METRICS, Kind, Metric, markdown_table

LIVE_FORMS = {
    "connected", "recovered", "stranded", "gave_up", "locked_out", "halted", "slot.primary", "slot.secondary",
    "refused.total", "refused.credential", "refused.not_allowed", "refused.config", "connects.total",
    "unreachable.total", "old_secret_accepted",
}  # fmt: skip
TIMED = {"outage", "connect_latency", "exposure", "loop_lag"}


def forms(metric: Metric) -> dict[str, str | None]:
    """Every spelling with its statistic; a bare metric without a default has none."""
    return {f"{metric.name}.{stat}": stat for stat in metric.stats} or {metric.name: None}


@pytest.mark.parametrize("metric", METRICS.values(), ids=str)
def test_every_row_agrees_with_itself(metric: Metric) -> None:
    allowed = set(metric.stats) or {""}
    assert set(metric.live) <= allowed
    assert set(metric.timed) <= allowed
    assert metric.default is None or metric.default in metric.stats
    assert metric.meaning


def test_exactly_the_live_metrics_are_live() -> None:
    live = {form for metric in METRICS.values() for form, stat in forms(metric).items() if metric.is_live(stat)}
    assert live == LIVE_FORMS


def test_times_and_rates_are_timed_and_counts_are_not() -> None:
    timed = {form for metric in METRICS.values() for form, stat in forms(metric).items() if metric.is_timed(stat)}
    statistics = ("p50", "p90", "p95", "p99", "max", "mean", "min")
    assert timed == {f"{name}.{stat}" for name in TIMED for stat in statistics} | {"connects.peak_per_second"}


def test_a_number_of_samples_is_no_duration() -> None:
    assert METRICS["outage"].is_duration("p99")
    assert not METRICS["outage"].is_duration("count")
    assert not METRICS["connects"].is_duration("total")


def test_only_populations_are_shares_of_devices() -> None:
    population = {name for name, metric in METRICS.items() if metric.kind is Kind.POPULATION}
    assert population == {
        "connected", "recovered", "slot", "stranded", "gave_up", "locked_out", "halted", "unsettled",
    }  # fmt: skip


def test_the_forms_of_a_metric_are_its_spellings() -> None:
    assert METRICS["connected"].forms() == ("connected",)
    assert METRICS["slot"].forms() == ("slot.primary", "slot.secondary")
    assert METRICS["connects"].forms() == ("connects", "connects.total", "connects.peak_per_second")


def test_the_markdown_table_has_a_row_for_every_metric() -> None:
    lines = markdown_table().splitlines()
    assert lines[0] == "| Metric | Unit | Statistics | Live | Sources | Meaning |"
    assert [line.split("`")[1] for line in lines[2:]] == list(METRICS)
    assert {line.count("|") for line in lines} == {7}


def test_a_row_of_the_table_tells_default_and_liveness() -> None:
    lines = markdown_table().splitlines()
    assert (
        "| `connects` | attempts | **total**, peak_per_second | total | devices "
        "| attempts of all devices; the peak is per second |"
    ) in lines
    assert "| `connected` | devices or % | none | yes | devices | devices with an accepted session |" in lines
    assert any(line.startswith("| `unsettled` | devices or % | none | no | devices |") for line in lines)
    assert any(line.startswith("| `misjudged` | attempts | none | no | both journals |") for line in lines)
