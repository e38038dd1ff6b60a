"""The closed table of metrics that an expectation may name, as data; the README's table is drawn from it."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a metric counts: devices in a state (a share of them is a %), a distribution, or occurrences."""

    POPULATION = "population"
    SAMPLE = "sample"
    COUNT = "count"


SECONDS = "s"
COUNT_STAT = "count"
SAMPLE_STATS = ("p50", "p90", "p95", "p99", "max", "mean", "min", COUNT_STAT)


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the table.

    `default`: the statistic meant when none is named; None where one must be, or where there are none.
    `live`: the statistics usable in `until` and `abort_if` ("" is the bare metric).
    `timed`: the statistics that say nothing when the generator itself was late.
    `by_fleet`: whether "of FLEET" has a meaning.
    """

    name: str
    kind: Kind
    unit: str
    meaning: str
    stats: tuple[str, ...] = ()
    default: str | None = None
    live: tuple[str, ...] = ()
    timed: tuple[str, ...] = ()
    needs_platform_journal: bool = False
    by_fleet: bool = True

    def is_live(self, stat: str | None) -> bool:
        """Whether it is known while the run goes on."""
        return (stat or "") in self.live

    def is_timed(self, stat: str | None) -> bool:
        """Whether it is a time or a rate, which a late generator makes invalid."""
        return (stat or "") in self.timed

    def is_duration(self, stat: str | None) -> bool:
        """Whether its values are seconds."""
        return self.unit == SECONDS and stat != COUNT_STAT

    def forms(self) -> tuple[str, ...]:
        """Every way to write it: `connects`, `connects.total`, …"""
        named = tuple(f"{self.name}.{stat}" for stat in self.stats)
        return named if self.stats and self.default is None else (self.name, *named)


def _population(name: str, meaning: str, stats: tuple[str, ...] = (), *, live: bool = True) -> Metric:
    return Metric(name, Kind.POPULATION, "devices", meaning, stats, live=(stats or ("",)) if live else ())


def _times(name: str, meaning: str, *, needs_platform_journal: bool = False, by_fleet: bool = True) -> Metric:
    return Metric(
        name,
        Kind.SAMPLE,
        SECONDS,
        meaning,
        SAMPLE_STATS,
        timed=tuple(stat for stat in SAMPLE_STATS if stat != COUNT_STAT),
        needs_platform_journal=needs_platform_journal,
        by_fleet=by_fleet,
    )


_REFUSALS = ("total", "credential", "not_allowed", "config")

_ALL = (
    _population("connected", "devices with an accepted session"),
    _population(
        "recovered", "devices whose connect event was acknowledged since the step; of LwM2M, those that have registered"
    ),
    _population("slot", "connected devices that presented this slot's secret", ("primary", "secondary")),
    _population("stranded", "devices that hold no secret which the platform accepts"),
    _population("gave_up", "halted devices that hold a secret which would be accepted"),
    _population("locked_out", "devices whose every secret was refused since the last change"),
    _population("halted", "devices that stopped trying"),
    _population("unsettled", "devices neither recovered, stranded nor given up at the end", live=False),
    _times("outage", "from the loss of the link to the recovery"),
    _times("connect_latency", "from the intended start of an attempt to its acceptance"),
    _times("exposure", "life of sessions on a retired secret", needs_platform_journal=True),
    _times("loop_lag", "lateness of the simulator's own event loop", by_fleet=False),
    Metric("refused_per_device", Kind.SAMPLE, "attempts", "refusals of one device", SAMPLE_STATS),
    Metric("connects_per_device", Kind.SAMPLE, "attempts", "attempts of one device", SAMPLE_STATS),
    Metric(
        "connects",
        Kind.COUNT,
        "attempts",
        "attempts of all devices; the peak is per second",
        ("total", "peak_per_second"),
        default="total",
        live=("total",),
        timed=("peak_per_second",),
    ),
    Metric(
        "refused",
        Kind.COUNT,
        "attempts",
        "attempts answered with a refusal, by its cause",
        _REFUSALS,
        default="total",
        live=_REFUSALS,
    ),
    Metric(
        "unreachable",
        Kind.COUNT,
        "attempts",
        "attempts that nobody answered",
        ("total",),
        default="total",
        live=("total",),
    ),
    Metric(
        "old_secret_accepted",
        Kind.COUNT,
        "attempts",
        "attempts begun after a reset's reply and accepted with the retired secret",
        live=("",),
    ),
    Metric(
        "misjudged",
        Kind.COUNT,
        "attempts",
        "refusals blamed on a secret that was right: a stale hour",
        needs_platform_journal=True,
    ),
    Metric(
        "stale_sessions",
        Kind.COUNT,
        "sessions",
        "sessions that lived on with a retired secret",
        needs_platform_journal=True,
    ),
    Metric(
        "messages",
        Kind.COUNT,
        "messages",
        "sent; acknowledged but never received; never acknowledged; received twice; received more often than sent; "
        "not sent, because the platform takes none of that size",
        ("sent", "lost", "unconfirmed", "duplicated", "unexplained", "dropped"),
        needs_platform_journal=True,
    ),
    Metric(
        "downlinks",
        Kind.COUNT,
        "messages",
        "from the platform, without an answer: sent; kept for a device that was away; never received; received twice",
        ("sent", "queued", "lost", "duplicated"),
        needs_platform_journal=True,
    ),
)

METRICS = {metric.name: metric for metric in _ALL}


def markdown_table() -> str:
    """The table as Markdown, for the README."""
    head = ("Metric", "Unit", "Statistics", "Live", "Sources", "Meaning")
    rows = [head, tuple("---" for _ in head), *(_row(metric) for metric in _ALL)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def _row(metric: Metric) -> tuple[str, ...]:
    unit = f"{metric.unit} or %" if metric.kind is Kind.POPULATION else metric.unit
    stats = ", ".join(f"**{stat}**" if stat == metric.default else stat for stat in metric.stats) or "none"
    always_live = metric.live == (metric.stats or ("",))
    live = "yes" if always_live else ", ".join(metric.live) or "no"
    sources = "both journals" if metric.needs_platform_journal else "devices"
    return (f"`{metric.name}`", unit, stats, live, sources, metric.meaning)
