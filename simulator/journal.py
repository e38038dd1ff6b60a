"""The device side's journal: one JSON object a line, and the single source of every view, verdict and report."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from simulator.clock import Clock

Record = dict[str, Any]

BUFFER_BYTES = 64 * 1024


class Journal:
    """Stamps records, hands them to the listeners at once, and writes them in blocks.

    Every record has `t` (monotonic seconds) and `kind`; the first line of a file ties `t` to wall time.
    """

    def __init__(self, clock: Clock, path: Path | None = None) -> None:
        self._clock = clock
        self._file: BinaryIO | None = path.open("ab") if path else None
        self._buffer = bytearray()
        self.listeners: list[Callable[[Record], None]] = []

    def header(self, **fields: object) -> None:
        """Write the first record of a run."""
        self.write("header", wall=round(self._clock.wall(), 6), monotonic=round(self._clock.now(), 6), **fields)

    def write(self, kind: str, **fields: object) -> None:
        """Record what happened now."""
        record = {"t": round(self._clock.now(), 6), "kind": kind, **fields}
        for listener in self.listeners:
            listener(record)
        if self._file is not None:
            self._buffer += orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
            if len(self._buffer) >= BUFFER_BYTES:
                self.flush()

    def flush(self) -> None:
        """Hand what is buffered to the operating system."""
        if self._file is not None and self._buffer:
            self._file.write(self._buffer)
            self._file.flush()
            self._buffer.clear()

    def close(self) -> None:
        """Write the rest and close the file."""
        self.flush()
        if self._file is not None:
            self._file.close()
            self._file = None


def read_journal(path: Path) -> tuple[list[Record], int]:
    """Read a journal file: its records, and how many lines were torn (the last one after a kill)."""
    records: list[Record] = []
    torn = 0
    with path.open("rb") as lines:
        for line in lines:
            try:
                record = orjson.loads(line)
            except orjson.JSONDecodeError:
                torn += 1
                continue
            if isinstance(record, dict) and "kind" in record:
                records.append(record)
            else:
                torn += 1
    return records, torn
