"""The device side's journal: one JSON object a line, and the single source of every view, verdict and report."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from simulator.clock import Clock

Record = dict[str, Any]

BUFFER_BYTES = 64 * 1024
FLUSH_EVERY_S = 1.0


class Journal:
    """Stamps records, hands them to the listeners at once, and writes them in blocks.

    Every record has `t` (monotonic seconds) and `kind`; the first line of a file ties `t` to wall time. What is a
    second old is in the file, when something still happens. A file that cannot be written is given up: `failure` says
    why, and `on_failure` is called once.
    """

    def __init__(self, clock: Clock, path: Path | None = None) -> None:
        self._clock = clock
        self._file: BinaryIO | None = path.open("ab") if path else None
        self._buffer = bytearray()
        self._flush_due = 0.0
        self.listeners: list[Callable[[Record], None]] = []
        self.failure: str | None = None
        self.on_failure: Callable[[], object] = lambda: None

    def header(self, **fields: object) -> None:
        """Write the first record of a run."""
        self.write("header", wall=round(self._clock.wall(), 6), monotonic=round(self._clock.now(), 6), **fields)

    def write(self, kind: str, **fields: object) -> None:
        """Record what happened now."""
        self.add({"t": 0.0, "kind": kind, **fields})

    def add(self, record: Record) -> None:
        """Record what happened now: `t`, which should be the first key, is set here."""
        now = self._clock.now()
        record["t"] = round(now, 6)
        for listener in self.listeners:
            listener(record)
        if self._file is not None:
            self._buffer += orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
            if len(self._buffer) >= BUFFER_BYTES or now >= self._flush_due:
                self._flush_due = now + FLUSH_EVERY_S
                self.flush()

    def flush(self) -> None:
        """Hand what is buffered to the operating system."""
        if self._file is None or not self._buffer:
            return
        try:
            self._file.write(self._buffer)
            self._file.flush()
        except OSError as error:
            self._give_up(error)
        self._buffer.clear()

    def close(self) -> None:
        """Write the rest and close the file."""
        self.flush()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _give_up(self, error: OSError) -> None:
        """Let go of the file; closing it would try to write what is left, and fail the same way."""
        assert self._file is not None, "only an open file can fail"
        self.failure = f"{self._file.name}: {error.strerror}"
        with contextlib.suppress(OSError):
            self._file.close()
        self._file = None
        self.on_failure()


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
