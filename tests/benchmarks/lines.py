"""What a figure is made of: lines, units, and how a number is read from a result."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tests.benchmarks.meter import Result
from tests.benchmarks.runs import Load

Value = Callable[[Result], float]


@dataclass(frozen=True, slots=True)
class Unit:
    """How a number is written."""

    symbol: str
    digits: int


CPU, TIME, DELAY = Unit(" s", 3), Unit(" s", 2), Unit(" ms", 2)
SIZE, RATE, COUNT, PERCENT = Unit(" KB", 1), Unit("/s", 0), Unit("", 0), Unit("%", 2)


@dataclass(frozen=True, slots=True)
class Line:
    """One case of a figure. `beside`: the line of the figure that it is compared with; None for one that is not."""

    case: str
    load: Load
    value: Value
    unit: Unit
    beside: int | None = None
    more_is_better: bool = False


@dataclass(frozen=True, slots=True)
class Figure:
    """`reach` is what the first line is to come to."""

    name: str
    title: str
    reach: str
    lines: tuple[Line, ...]


def plain(key: str) -> Value:
    return lambda result: result[key]


def per(key: str, count: float) -> Value:
    return lambda result: result[key] / count


def share(result: Result) -> float:
    """Of one core, in percent."""
    return 100 * result["idle_share"]


def client_cpu(devices: int) -> Value:
    return per("client_cpu_s", devices / 1000)


def server_cpu(devices: int) -> Value:
    return per("server_cpu_s", devices / 1000)


client_kb = partial(per, "client_kb")
