"""What every process of the platform does when it starts, and says when it ends."""

import asyncio
import gc
import resource
import traceback
from collections.abc import Callable
from typing import Any

from broker.complaints import complain

OK, USAGE, CRASH = 0, 2, 4


def new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def end_at_crashes(loop: asyncio.AbstractEventLoop, end: Callable[[], None]) -> list[BaseException]:
    """Have every error that nobody caught told, and the process ended by one of ours; returns where those are kept."""
    crashes: list[BaseException] = []

    def report(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        complain(f"{context['message']}: {error!r}")
        if error is not None and not isinstance(error, OSError):
            complain("".join(traceback.format_exception(error)))
            crashes.append(error)
            end()

    loop.set_exception_handler(report)
    return crashes


def spare_the_collector() -> None:
    """Devices and sessions live long: a full collection would walk over all of them and stop the loop meanwhile."""
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def raise_file_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
