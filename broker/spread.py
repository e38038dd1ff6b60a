"""Where a change of what all processes of the platform must agree on takes place."""

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Spread(Protocol):
    """Has a change take place wherever devices are let in."""

    def run(self, change: Callable[[], T], answer: asyncio.Future[T]) -> None:
        """Make a change in this callback; its outcome is the answer as soon as it is in force everywhere.

        What the change itself raises is raised here. The answer is NotConfirmed when another process is silent.
        """


class Here:
    """The only process there is."""

    def run(self, change: Callable[[], T], answer: asyncio.Future[T]) -> None:
        outcome = change()
        if not answer.done():
            answer.set_result(outcome)
