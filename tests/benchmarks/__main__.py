"""All figures of the MQTT side, ours and their neighbours': `python -m tests.benchmarks`.

Every run has a fresh server and a fresh client, each in a process of its own, on loopback. Nothing is asserted about
what is measured; but a run that does not come to its end ends the command, with exit code 1. mosquitto must be
installed for the figures that it stands beside. Best is the best of all repetitions.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence

from simulator.errors import KeyturnError
from simulator.limits import check_room
from tests.benchmarks.figures import figures
from tests.benchmarks.lines import Figure
from tests.benchmarks.meter import NotReached, Result
from tests.benchmarks.runs import Load, measure
from tests.benchmarks.table import print_markdown, print_table

SELDOM = ("capacity",)
"""Measured when they are asked for by name."""


def main() -> int:
    asked = _parser().parse_args()
    known = figures(asked.devices)
    chosen = [one for one in known if (one.name in asked.only if asked.only else one.name not in SELDOM)]
    about = f"{asked.devices:,} devices where nothing else is said, repeated {asked.repeat} times"
    try:
        check_room(max(line.load.devices for figure in chosen for line in figure.lines))
        results = asyncio.run(_measure_all(chosen, asked.repeat))
    except (NotReached, KeyturnError) as error:
        sys.stderr.write(f"no figures: {error}\n")
        return 1
    (print_markdown if asked.markdown else print_table)(chosen, results, about)
    return 0


async def _measure_all(chosen: Sequence[Figure], repeat: int) -> dict[Load, list[Result]]:
    """Measure every load that the figures need, each load once before any is measured again."""
    loads = list(dict.fromkeys(line.load for figure in chosen for line in figure.lines))
    results: dict[Load, list[Result]] = {load: [] for load in loads}
    for number in range(repeat):
        for load in loads:
            sys.stderr.write(f"{number + 1}/{repeat}  {load}\n")
            results[load].append(await measure(load))
    return results


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__.splitlines()[0])
    names = [one.name for one in figures(1)]
    parser.add_argument("--devices", type=_positive, default=5_000, metavar="N", help="default 5,000")
    parser.add_argument("--only", action="append", default=[], choices=names, help="may be repeated")
    parser.add_argument("--repeat", type=_positive, default=3, metavar="K", help="how often; default 3")
    parser.add_argument("--markdown", action="store_true", help="print the table of the README")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1 on, not {text}")
    return number


if __name__ == "__main__":
    sys.exit(main())
