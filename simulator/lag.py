"""How late the simulator's own event loop is: the measure of whether its times can be trusted."""

import asyncio

from simulator.journal import Journal

SAMPLE_EVERY_S = 0.05
SAMPLES_PER_RECORD = 20


async def watch_lag(journal: Journal) -> None:
    """Journal the lateness of a steady timer, in seconds, until cancelled."""
    loop = asyncio.get_running_loop()
    samples: list[float] = []
    while True:
        due = loop.time() + SAMPLE_EVERY_S
        await asyncio.sleep(SAMPLE_EVERY_S)
        samples.append(round(max(0.0, loop.time() - due), 4))
        if len(samples) == SAMPLES_PER_RECORD:
            journal.write("lag", samples=samples)
            samples = []
