"""What a turn of the loop has to say: collected, and written once at its end, after the journal."""

import asyncio
from typing import Protocol

from broker.journal import Journal


class Writer(Protocol):
    def write_due(self) -> None:
        """Write what was collected."""


class Turns:
    """Has everybody write who collected something, when the journal holds what it acknowledges."""

    def __init__(self, loop: asyncio.AbstractEventLoop, journal: Journal) -> None:
        self._loop = loop
        self._journal = journal
        self._writers: list[Writer] = []

    def write_after(self, writer: Writer) -> None:
        """Have `writer.write_due` called at the end of this turn."""
        if not self._writers:
            self._loop.call_soon(self._end)
        self._writers.append(writer)

    def _end(self) -> None:
        self._journal.flush()
        writers, self._writers = self._writers, []
        for writer in writers:
            writer.write_due()
