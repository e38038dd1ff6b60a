"""How late the simulator's own event loop is: the measure of whether its times can be trusted."""

import asyncio

from simulator.journal import Journal

SAMPLE_EVERY_S = 0.05
SAMPLES_PER_RECORD = 20


async def watch_lag(journal: Journal) -> None:
    """Journal how late the loop came to each tick of a fixed grid, in seconds, until cancelled.

    A standstill is late for every tick that it covers, so that a blocked loop does not look like a single bad moment.
    """
    loop = asyncio.get_running_loop()
    due, samples = loop.time() + SAMPLE_EVERY_S, list[float]()

    def write() -> None:
        first = due - SAMPLE_EVERY_S * len(samples)
        journal.write("lag", first=round(first, 6), every=SAMPLE_EVERY_S, samples=samples.copy())
        samples.clear()

    try:
        while True:
            await asyncio.sleep(due - loop.time())
            now = loop.time()
            while due <= now:
                samples.append(round(now - due, 4))
                due += SAMPLE_EVERY_S
            if len(samples) >= SAMPLES_PER_RECORD:
                write()
    finally:
        if samples:
            write()
