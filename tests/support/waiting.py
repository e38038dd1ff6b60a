"""Waiting in tests: for a condition and with a deadline, never for a time."""

import asyncio
from collections.abc import Callable

DEADLINE_S = 5.0
LOOK_EVERY_S = 0.002


async def until(condition: Callable[[], object], what: str, within_s: float = DEADLINE_S) -> None:
    """Wait until `condition()` is true; AssertionError says `what` did not happen."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while not condition():
        assert loop.time() < deadline, f"not within {within_s} s: {what}"
        await asyncio.sleep(LOOK_EVERY_S)


async def turns(count: int = 10) -> None:
    """Let the loop turn, so that whatever is already on its way can show itself."""
    for _ in range(count):
        await asyncio.sleep(0)
