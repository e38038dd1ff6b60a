"""The loop's own lateness, as it is measured."""

import asyncio
import time

from simulator.clock import SystemClock
from simulator.journal import Journal, Record
from simulator.lag import SAMPLE_EVERY_S, watch_lag


async def watched(block_s: float, blocks: int) -> list[float]:
    """Block the loop some times while it is watched; give every sample."""
    records: list[Record] = []
    journal = Journal(SystemClock())
    journal.listeners.append(records.append)
    async with asyncio.TaskGroup() as tasks:
        watch = tasks.create_task(watch_lag(journal))
        for _ in range(blocks):
            await asyncio.sleep(SAMPLE_EVERY_S)
            time.sleep(block_s)  # noqa: ASYNC251 - this is the standstill
        await asyncio.sleep(SAMPLE_EVERY_S)
        watch.cancel()
    firsts = [record["first"] for record in records]
    assert firsts == sorted(firsts)
    return [sample for record in records for sample in record["samples"]]


async def test_standstill_is_late_for_every_tick_that_it_covers() -> None:
    samples = await watched(block_s=0.5, blocks=2)
    late = [sample for sample in samples if sample > 2 * SAMPLE_EVERY_S]
    assert max(samples) > 0.4
    assert len(late) >= 12, "two standstills of half a second cover twenty ticks"


async def test_what_was_sampled_before_the_end_is_not_lost() -> None:
    assert await watched(block_s=0.0, blocks=2)
