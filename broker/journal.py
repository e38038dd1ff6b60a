"""The platform's journal: what happened, as lines of JSON, on disk before anybody hears of it.

Records collect during one turn of the loop. `flush()` writes them with one `write(2)` and no fsync: they survive the
death of the process. Whoever acknowledges something flushes first.
"""

import asyncio
import os
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from broker.clock import Clock
from broker.errors import SettingsError

Record = dict[str, Any]


class Journal:
    """Writes records to a file (or nowhere), keeps the newest `ring` of them, and lets readers follow.

    `later` runs a callback in the next turn of the loop; it flushes what nobody else did.
    """

    def __init__(
        self, path: Path | None, clock: Clock, later: Callable[[Callable[[], None]], object], ring: int
    ) -> None:
        self._clock = clock
        self._later = later
        self._pending: list[Record] = []
        self._uplinks: dict[tuple[str, int], Record] = {}
        self._flush_due = False
        self._ring: deque[bytes] = deque(maxlen=ring)
        self.written = 0
        self._readers: set[asyncio.Event] = set()
        self._has_ended = False
        self._file = None if path is None else _open(path)
        self._line_is_torn = self._file is not None and _ends_inside_a_line(self._file)
        self.lost = 0

    def write(self, kind: str, **fields: Any) -> None:
        """Add a record to this turn's."""
        self._append({"t": round(self._clock.now(), 6), "kind": kind, **fields})

    def uplink(self, device: str, qos: int, seq: int) -> None:
        """Record a message by its sequence number; consecutive numbers of one turn become one range."""
        open_range = self._uplinks.get((device, qos))
        if open_range is not None and open_range["last"] + 1 == seq:
            open_range["last"] = seq
            return
        record = {
            "t": round(self._clock.now(), 6),
            "kind": "uplink",
            "device": device,
            "qos": qos,
            "first": seq,
            "last": seq,
        }
        self._uplinks[device, qos] = record
        self._append(record)

    def flush(self) -> None:
        """Write everything recorded so far."""
        self._flush_due = False
        if not self._pending:
            return
        data = b"\n".join([orjson.dumps(record) for record in self._pending]) + b"\n"
        if self._file is not None:
            self._write_out(self._file, data)
        self.written += len(self._pending)
        self._pending.clear()
        self._uplinks.clear()
        self._ring.extend(data.splitlines())  # copies of the right size: orjson's own lines occupy 4 KiB each
        for reader in self._readers:
            reader.set()

    async def follow(self) -> AsyncIterator[tuple[int, list[bytes]]]:
        """Yield what is kept of this run, then what comes, until `end_following`.

        A batch is the number of its first record in this run, counted from 1, and its lines.

        A reader who is slower than the ring is long misses the records that fell out of it.
        """
        seen = self.written - len(self._ring)
        news = asyncio.Event()
        self._readers.add(news)
        try:
            while True:
                news.clear()
                fresh = min(self.written - seen, len(self._ring))
                seen = self.written
                if fresh:
                    yield seen - fresh + 1, list(islice(reversed(self._ring), fresh))[::-1]
                elif self._has_ended:
                    return
                else:
                    await news.wait()
        finally:
            self._readers.discard(news)

    def end_following(self) -> None:
        """Let every reader come to the end of what is written now."""
        self.flush()
        self._has_ended = True
        for reader in self._readers:
            reader.set()

    def close(self) -> None:
        """Flush and release the file."""
        self.flush()
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _append(self, record: Record) -> None:
        self._pending.append(record)
        if not self._flush_due:
            self._flush_due = True
            self._later(self.flush)

    def _write_out(self, file: int, data: bytes) -> None:
        """Write whole lines; a full disk costs the pending records, not the platform."""
        if self._line_is_torn:
            data = b"\n" + data
        try:
            while data:
                written = os.write(file, data)
                self._line_is_torn = data[written - 1 : written] != b"\n"
                data = data[written:]
        except OSError as error:
            if not self.lost:
                sys.stderr.write(f"keyturn: the journal cannot be written ({error.strerror}); records are being lost\n")
            self.lost += len(self._pending)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    except OSError as error:
        raise SettingsError(f"the journal {path} cannot be opened: {error.strerror}") from error


def _ends_inside_a_line(file: int) -> bool:
    """A process that was killed may have left half a line, which must not swallow our header."""
    size = os.fstat(file).st_size
    return size > 0 and os.pread(file, 1, size - 1) != b"\n"
