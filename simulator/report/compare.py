"""Two runs side by side: what differs between their `results.json`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from simulator.errors import UsageError
from simulator.report.folder import RESULTS

RUN_OF_ITS_OWN = ("run", "started")
NAMED_BY = {"steps": "id", "expectations": "text"}

Value = str | float | bool | None


def read_results(folder: Path) -> dict[str, Any]:
    """The results of a run; UsageError when there are none."""
    path = folder / RESULTS
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}; expected the folder of a run") from error
    if not isinstance(found, dict) or "scenario" not in found:
        raise UsageError(f"{path}: not the results of a run")
    return found


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[tuple[str, Value, Value]]:
    """(what, in the first, in the second) of everything that is not the same; None where a run does not have it."""
    first, second = dict(_flat(one)), dict(_flat(other))
    names = dict.fromkeys([*first, *second])
    return [(name, first.get(name), second.get(name)) for name in names if first.get(name) != second.get(name)]


def print_comparison(console: Console, one: Path, other: Path) -> None:
    """Print what differs between two runs, with the ratio of numbers."""
    found = differences(read_results(one), read_results(other))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("what")
    for name in (str(one), str(other), "ratio"):
        table.add_column(Text(name), justify="right")
    for what, first, second in found:
        table.add_row(Text(what), _shown(first), _shown(second), _ratio(first, second))
    console.print(table if found else "The two runs do not differ.")


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Value]]:
    """Every single value with its path; list items go by what names them."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if name or key not in RUN_OF_ITS_OWN:
                yield from _flat(inner, f"{name}.{key}" if name else key)
    elif name in NAMED_BY:
        for item in value:
            yield from _flat(item, f"{name}[{item[NAMED_BY[name]]}]")
    elif isinstance(value, list):
        yield name, ", ".join(map(str, value))
    else:
        yield name, value


def _shown(value: Value) -> Text:
    return Text("-" if value is None else f"{value:,.6g}" if isinstance(value, float) else str(value))


def _ratio(first: Value, second: Value) -> str:
    numbers = [one for one in (first, second) if isinstance(one, int | float) and not isinstance(one, bool)]
    return f"{numbers[1] / numbers[0]:.2f}" if len(numbers) == 2 and numbers[0] else ""
