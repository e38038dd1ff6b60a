"""From the oracle's facts to the number that an expectation asks for. Pure."""

import math
from collections import Counter
from collections.abc import Callable, Iterator

from simulator.books import Books
from simulator.expectations import Expectation, Measurement
from simulator.facts import DeviceFacts, Stand, Window
from simulator.metrics import METRICS, Kind
from simulator.oracle import Oracle

WORST = 3
TICK_S = 0.05
RECEIVED = ("lost", "duplicated", "unexplained")
"""What is known of messages only by who has received them."""


Samples = list[tuple[float, str]]


class Measures:
    """Answers expectations from an oracle and, where there is one, the books of the platform's journal.

    `protocol`: of its devices alone.
    """

    def __init__(
        self,
        oracle: Oracle,
        books: Books | None = None,
        lag_limit_s: float = math.inf,
        protocol: str | None = None,
    ) -> None:
        self._oracle = oracle
        self._books = books
        self._lag_limit_s = lag_limit_s
        self._protocol = protocol

    def of_protocol(self, protocol: str) -> "Measures":
        """The same, about the devices of one protocol."""
        return Measures(self._oracle, self._books, self._lag_limit_s, protocol)

    def __call__(self, expectation: Expectation) -> Measurement:
        metric = METRICS[expectation.metric]
        if invalid := self._invalid(expectation):
            return Measurement(None, invalid=invalid)
        match metric.kind:
            case Kind.POPULATION:
                return self._population(expectation)
            case Kind.SAMPLE:
                return self._distribution(expectation)
            case Kind.COUNT:
                return self._count(expectation)

    def lag_p99_s(self, step: str | None = None) -> float | None:
        """The 99th percentile of the simulator's loop lag in a step's time, or in the run's; None if not measured."""
        samples = self._lags(step)
        return quantile(sorted(samples), 0.99) if samples else None

    def _invalid(self, expectation: Expectation) -> str | None:
        metric, step = METRICS[expectation.metric], expectation.step
        if step is not None and step not in self._oracle.steps:
            return f"step {step} did not run"
        if step is not None and not self._oracle.steps[step].fleets:
            return f"step {step} touches no device"
        if metric.needs_platform_journal and self._books is None:
            return "the platform's journal is not at hand"
        if metric.needs_platform_journal and self._books is not None and self._books.lost_records:
            return f"the platform lost {self._books.lost_records} journal records"
        if metric.name == "messages" and expectation.stat in RECEIVED and self._books and self._books.elsewhere:
            return f"{self._books.elsewhere} took the messages, the platform heard none of them"
        if metric.is_timed(expectation.stat) and metric.name != "loop_lag" and self._lag_limit_s < math.inf:
            return self._untrustworthy(self.lag_p99_s(step))
        return None

    def _untrustworthy(self, lag_s: float | None) -> str | None:
        if lag_s is None:
            return "the simulator's loop lag was not measured"
        return f"generator-limited: loop lag p99 {lag_s * 1000:.0f} ms" if lag_s > self._lag_limit_s else None

    def _lags(self, step: str | None) -> list[float]:
        """The lag samples of a step's time, and one tick around it: a short step may lie between two ticks."""
        since, until = self._span(step)
        return [lag for t, lag in self._oracle.lags if since - TICK_S <= t <= until + TICK_S]

    def _span(self, step: str | None) -> tuple[float, float]:
        if step is None:
            return 0.0, self._oracle.settled_at or self._oracle.ended_at
        closed = [window.closed or self._oracle.ended_at for _, window in self._windows(step, None) if window]
        return self._oracle.steps[step].started, max(closed, default=self._oracle.ended_at)

    # -- whose

    def _devices(self, step: str | None, fleet: str | None) -> Iterator[DeviceFacts]:
        if fleet is not None:
            fleets: tuple[str, ...] = (fleet,)
        elif step is not None:
            fleets = self._oracle.steps[step].fleets
        else:
            fleets = tuple(self._oracle.fleets)
        for name in fleets:
            for device in self._oracle.fleets.get(name, ()):
                if self._protocol in (None, device.protocol):
                    yield device

    def _windows(self, step: str | None, fleet: str | None) -> Iterator[tuple[DeviceFacts, Window | None]]:
        """Each device with its window in the step (None while untouched), or with the whole run."""
        for device in self._devices(step, fleet):
            if step is None:
                yield device, device.run
            else:
                yield device, next((one for one in reversed(device.windows) if one.step == step), None)

    # -- what

    def _population(self, expectation: Expectation) -> Measurement:
        inside: list[str] = []
        outside: list[str] = []
        for device, window in self._windows(expectation.step, expectation.fleet):
            (inside if self._counts(expectation, device, window) else outside).append(device.device_id)
        wanted_few = expectation.operator in ("<", "<=") or expectation.threshold == 0
        worst = inside if wanted_few else outside
        return Measurement(len(inside), total=len(inside) + len(outside), worst=tuple(worst[:WORST]))

    def _counts(self, expectation: Expectation, device: DeviceFacts, window: Window | None) -> bool:
        stand: Stand = (window or device.run).standing or device
        if expectation.metric == "slot":
            return stand.slot == expectation.stat
        if expectation.metric == "recovered" and expectation.step is not None:
            return window is not None and window.recovered
        return _STANDS[expectation.metric](stand)

    def _distribution(self, expectation: Expectation) -> Measurement:
        samples = self._samples(expectation)
        values = sorted(value for value, _ in samples)
        worst = tuple(dict.fromkeys(device for _, device in sorted(samples, reverse=True) if device))[:WORST]
        value = statistic(expectation.stat or "count", values)
        return Measurement(value, samples=len(values), worst=worst)

    def _samples(self, expectation: Expectation) -> Samples:
        step, fleet = expectation.step, expectation.fleet
        if expectation.metric == "loop_lag":
            return [(lag, "") for lag in self._lags(step)]
        if expectation.metric == "exposure":
            assert self._books is not None, "checked before"
            return [
                (min(one.until, window.closed or one.until) - one.since, device.device_id)
                for device, window in self._windows(step, fleet)
                for one in self._books.exposures(device.device_id)
                if window is not None and _within(window, one.since)
            ]
        read = _SAMPLES[expectation.metric]
        return [
            (value, device.device_id)
            for device, window in self._windows(step, fleet)
            if window is not None
            for value in read(device, window, self._oracle.settled_at or self._oracle.ended_at)
        ]

    def _count(self, expectation: Expectation) -> Measurement:
        step, fleet, stat = expectation.step, expectation.fleet, expectation.stat or "total"
        if expectation.metric == "connects" and stat == "peak_per_second":
            return Measurement(self._peak(step, fleet))
        tally: Counter[str] = Counter()
        for device, window in self._windows(step, fleet):
            if window is not None:
                tally[device.device_id] = self._tally(expectation.metric, stat, device, window)
        worst = tuple(device for device, count in tally.most_common(WORST) if count)
        return Measurement(tally.total(), worst=worst)

    def _tally(self, metric: str, stat: str, device: DeviceFacts, window: Window) -> int:
        match metric:
            case "connects":
                return window.connects
            case "refused":
                return window.refused.total() if stat == "total" else window.refused[stat]
            case "unreachable":
                return window.unreachable
            case "old_secret_accepted":
                return window.old_accepted
        assert self._books is not None, "checked before"
        until = window.closed or self._oracle.settled_at or self._oracle.ended_at
        return self._books.tally(metric, stat, device.device_id, window.opened, until)

    def _peak(self, step: str | None, fleet: str | None) -> int:
        fleets = {device.fleet for device in self._devices(step, fleet)}
        seconds: Counter[int] = Counter()
        for name in fleets:
            seconds.update(self._oracle.connects[step, name])
        return max(seconds.values(), default=0)


def _within(window: Window, t: float) -> bool:
    return window.opened <= t and (window.closed is None or t < window.closed)


def _outages(device: DeviceFacts, window: Window, ended_at: float) -> list[float]:
    """Finished outages, and one that never ended as long as it was seen."""
    open_here = device.lost_at is not None and (device.lost_in is window or not window.step)
    return [*window.outages, ended_at - device.lost_at] if open_here and device.lost_at else window.outages


_STANDS: dict[str, Callable[[Stand], bool]] = {
    "connected": lambda stand: stand.connected,
    "recovered": lambda stand: stand.recovered,
    "stranded": lambda stand: stand.stranded,
    "gave_up": lambda stand: stand.halted and not stand.stranded,
    "locked_out": lambda stand: stand.locked_out,
    "halted": lambda stand: stand.halted,
    "unsettled": lambda stand: not (stand.recovered or stand.stranded or stand.halted or stand.stopped),
}
_SAMPLES: dict[str, Callable[[DeviceFacts, Window, float], list[float]]] = {
    "outage": _outages,
    "connect_latency": lambda _device, window, _end: window.latencies,
    "refused_per_device": lambda _device, window, _end: [window.refused.total()],
    "connects_per_device": lambda _device, window, _end: [window.connects],
}


def statistic(stat: str, ascending: list[float]) -> float | None:
    """One statistic of sorted values; None of nothing (but a count is 0)."""
    if stat == "count":
        return len(ascending)
    if not ascending:
        return None
    match stat:
        case "max":
            return ascending[-1]
        case "min":
            return ascending[0]
        case "mean":
            return math.fsum(ascending) / len(ascending)
    return quantile(ascending, int(stat.removeprefix("p")) / 100)


def quantile(ascending: list[float], share: float) -> float:
    """The nearest-rank quantile: a value that was really seen."""
    return ascending[max(0, math.ceil(share * len(ascending)) - 1)]
