"""What the verbs need from asyncio: bounded work side by side, and waiting for a condition."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

POLL_S = 0.1
LEAST_REST = 20
"""Of the time that a look at the condition took: over many devices it must not become the load."""

T = TypeVar("T")


async def each(items: Iterable[T], limit: int, work: Callable[[T], Awaitable[None]]) -> None:
    """Do `work` for every item, in order, at most `limit` of them at a time."""
    queue = iter(items)

    async def worker() -> None:
        for item in queue:
            await work(item)

    async with asyncio.TaskGroup() as tasks:
        for number in range(limit):
            tasks.create_task(worker(), name=f"worker-{number}")


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, looking ten times a second, or less often when a look takes long."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while not condition():
        await asyncio.sleep(max(POLL_S, (loop.time() - began) * LEAST_REST))
        began = loop.time()
