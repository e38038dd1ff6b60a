"""The platform's journal: what happened, as lines of JSON, on disk before anybody hears of it.

Records collect during one turn of the loop. `flush()` writes them with one `write(2)` and no fsync: they survive the
death of the process. Whoever acknowledges something flushes first. A record is encoded when it is made: one that cannot
be fails whoever made it, and `flush` fails nobody.
"""

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from broker.clock import Clock
from broker.complaints import complain
from broker.errors import SettingsError

INT64 = 1 << 63
MAX_TEXT = 256


def plain_integer(value: object) -> int | None:
    """Return what a peer sent if it is fit for a record: no JSON but a 64-bit integer, which can hold no secret."""
    return value if type(value) is int and -INT64 <= value < INT64 else None


def beginning(text: str) -> str:
    """Return as much of a peer's text as a record may hold: the ring is bounded in records, a peer's text is not."""
    return text[:MAX_TEXT]


@dataclass(slots=True)
class _Range:
    """The record of consecutive uplinks, but for its end, which may still move."""

    head: bytes
    last: int

    def encode(self) -> bytes:
        return b'%b,"last":%d}' % (self.head[:-1], self.last)


class Journal:
    """Writes records to a file (or nowhere), keeps the newest `ring` of them, and lets readers follow.

    `later` runs a callback in the next turn of the loop; it flushes what nobody else did.
    """

    def __init__(
        self, path: Path | None, clock: Clock, later: Callable[[Callable[[], None]], object], ring: int
    ) -> None:
        self._clock = clock
        self._later = later
        self._pending: list[bytes | _Range] = []
        self._uplinks: dict[tuple[str, int], _Range] = {}
        self._flush_due = False
        self._ring: deque[bytes] = deque(maxlen=ring)
        self.written = 0
        self._readers: set[asyncio.Event] = set()
        self._has_ended = False
        self._file = None if path is None else _open(path)
        self._line_is_torn = self._file is not None and _ends_inside_a_line(self._file)
        self.lost = 0
        self._untold = 0

    def write(self, kind: str, **fields: Any) -> None:
        """Add a record to this turn's; raises TypeError, and adds nothing, when a field cannot be encoded."""
        self._append(self._encode(kind, **fields))

    def uplink(self, device: str, qos: int, seq: int) -> None:
        """Record a message by its sequence number; consecutive numbers of one turn become one range."""
        open_range = self._uplinks.get((device, qos))
        if open_range is not None and open_range.last + 1 == seq:
            open_range.last = seq
            return
        new_range = _Range(self._encode("uplink", device=device, qos=qos, first=seq), seq)
        self._uplinks[device, qos] = new_range
        self._append(new_range)

    def flush(self) -> None:
        """Write everything recorded so far."""
        self._flush_due = False
        if not self._pending:
            return
        data = b"".join([(one if isinstance(one, bytes) else one.encode()) + b"\n" for one in self._pending])
        count = len(self._pending)
        self._pending.clear()
        self._uplinks.clear()
        if self._file is not None:
            self._write_out(self._file, data, count)
        self.take_in(data)

    def take_in(self, data: bytes) -> None:
        """Keep whole lines that are written, and tell the readers."""
        lines = data.splitlines()  # copies of the right size: orjson's own lines occupy 4 KiB each
        self.written += len(lines)
        self._ring.extend(lines)
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

    def _encode(self, kind: str, **fields: Any) -> bytes:
        return orjson.dumps({"t": round(self._clock.now(), 6), "kind": kind, **fields})

    def _append(self, record: bytes | _Range) -> None:
        self._pending.append(record)
        if not self._flush_due:
            self._flush_due = True
            self._later(self.flush)

    def _write_out(self, file: int, data: bytes, count: int) -> None:
        """Write this many lines; a full disk costs them, not the platform, and the file says so when it can."""
        if self._untold:
            data = self._encode("gap", lost=self._untold) + b"\n" + data
        if self._line_is_torn:
            data = b"\n" + data
        try:
            while data:
                written = os.write(file, data)
                self._line_is_torn = data[written - 1 : written] != b"\n"
                data = data[written:]
        except OSError as error:
            if not self.lost:
                complain(f"the journal cannot be written ({error.strerror}); records are being lost")
        self._account(data, count)

    def _account(self, left_over: bytes, count: int) -> None:
        """Take note of what a write left over of a gap record and this many lines; an end of line is no line."""
        lines_left = left_over.count(b"\n") - left_over.startswith(b"\n")
        if lines_left <= count:
            self._untold = 0
        lost = min(lines_left, count)
        self.lost += lost
        self._untold += lost


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    except OSError as error:
        raise SettingsError(f"the journal {path} cannot be opened: {error.strerror}") from error


def _ends_inside_a_line(file: int) -> bool:
    """A process that was killed may have left half a line, which must not swallow our header."""
    size = os.fstat(file).st_size
    return size > 0 and os.pread(file, 1, size - 1) != b"\n"
