"""How a run is going: a live table on a terminal, one plain line every ten seconds elsewhere."""

import asyncio
from collections import Counter

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from simulator.facts import StepFacts
from simulator.measure import Measures
from simulator.oracle import Oracle

LIVE_EVERY_S = 0.5
LINE_EVERY_S = 10.0
COLUMNS = ("devices", "connected", "recovered", "primary", "secondary", "stranded", "locked out", "halted")
STATE_COLOURS = {"done": "green", "failed": "bold red", "skipped": "yellow"}


class Progress:
    """Shows a run on a console until cancelled."""

    def __init__(self, console: Console) -> None:
        self._console = console

    async def __call__(self, oracle: Oracle, _measures: Measures) -> None:
        if self._console.is_terminal:
            await self._live(oracle)
        else:
            await self._lines(oracle)

    async def _live(self, oracle: Oracle) -> None:
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            while True:
                live.update(_view(oracle), refresh=True)
                await asyncio.sleep(LIVE_EVERY_S)

    async def _lines(self, oracle: Oracle) -> None:
        while True:
            await asyncio.sleep(LINE_EVERY_S)
            self._console.print(progress_line(oracle), soft_wrap=True, highlight=False, markup=False)


def _counts(oracle: Oracle, fleet: str) -> Counter[str]:
    counts: Counter[str] = Counter()
    for device in oracle.fleets[fleet]:
        counts["devices"] += 1
        counts["connected"] += device.connected
        counts["recovered"] += device.recovered
        counts["stranded"] += device.stranded
        counts["locked out"] += device.locked_out
        counts["halted"] += device.halted
        if device.slot:
            counts[device.slot] += 1
    return counts


def _view(oracle: Oracle) -> Group:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("fleet")
    for name in COLUMNS:
        table.add_column(name, justify="right")
    for fleet in oracle.fleets:
        counts = _counts(oracle, fleet)
        table.add_row(fleet, *(f"{counts[name]:,}" for name in COLUMNS))
    return Group(table, *(_step(step) for step in oracle.steps.values()))


def _step(step: StepFacts) -> Text:
    return Text.assemble(
        (f"{step.state:>8}", STATE_COLOURS.get(step.state, "cyan")), f"  {step.step}  ", (step.verb, "dim")
    )


def progress_line(oracle: Oracle) -> str:
    """What runs now, and how many devices are where; for a log file."""
    running = [step.step for step in oracle.steps.values() if step.state == "running"]
    parts = []
    for fleet in oracle.fleets:
        counts = _counts(oracle, fleet)
        shown = ", ".join(f"{counts[name]} {name}" for name in COLUMNS[1:] if counts[name])
        parts.append(f"{fleet}: {counts['devices']} devices, {shown or 'none connected'}")
    return f"[{', '.join(running) or 'settling'}] {'; '.join(parts)}"
