"""The device side's journal: what a record holds, who hears of it, and what is read back after a kill."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from simulator.journal import BUFFER_BYTES, Journal, Record, read_journal

FIRST = b'{"t":1.0,"kind":"header"}\n'
SECOND = b'{"t":2.5,"kind":"accepted","device":"d1"}\n'


class SteppedClock:
    """A clock that moves a little more than a millisecond with every look at it."""

    def __init__(self) -> None:
        self._now = 10.0

    def now(self) -> float:
        self._now += 0.0012345678
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += seconds

    def utc(self) -> datetime:
        return datetime.fromtimestamp(self.wall(), UTC)

    def wall(self) -> float:
        return 1_700_000_000.123456789


def test_what_is_written_is_read_back_in_order(tmp_path: Path) -> None:
    journal = Journal(SteppedClock(), tmp_path / "device.jsonl")
    journal.header(run="r1", source="simulator")
    journal.write("accepted", device="d1", attempt=1)
    journal.close()

    assert read_journal(tmp_path / "device.jsonl") == (
        [
            {
                "t": 10.002469,
                "kind": "header",
                "wall": 1_700_000_000.123457,
                "monotonic": 10.001235,
                "run": "r1",
                "source": "simulator",
            },
            {"t": 10.003704, "kind": "accepted", "device": "d1", "attempt": 1},
        ],
        0,
    )


def test_listeners_hear_of_a_record_at_once_and_without_a_file() -> None:
    journal, heard = Journal(SteppedClock()), list[Record]()
    journal.listeners.append(heard.append)
    journal.write("accepted", device="d1")
    journal.flush()
    journal.close()
    assert heard == [{"t": 10.001235, "kind": "accepted", "device": "d1"}]


def test_records_are_written_at_first_then_in_blocks_or_when_told(tmp_path: Path) -> None:
    path = tmp_path / "device.jsonl"
    journal = Journal(SteppedClock(), path)
    journal.write("first")
    size = path.stat().st_size
    assert size > 0
    journal.write("second")
    assert path.stat().st_size == size
    journal.flush()
    assert path.stat().st_size > size
    journal.write("large", padding="x" * BUFFER_BYTES)
    assert path.stat().st_size > size + BUFFER_BYTES
    journal.write("last")
    journal.close()
    journal.close()
    assert [record["kind"] for record in read_journal(path)[0]] == ["first", "second", "large", "last"]


def test_what_is_a_second_old_is_written_with_the_next_record(tmp_path: Path) -> None:
    clock, path = SteppedClock(), tmp_path / "device.jsonl"
    journal = Journal(clock, path)
    journal.write("first")
    journal.write("second")
    clock.advance(1.0)
    journal.write("third")
    assert [record["kind"] for record in read_journal(path)[0]] == ["first", "second", "third"]
    journal.close()


def test_file_that_cannot_be_written_is_given_up_once_and_listeners_go_on() -> None:
    journal, heard, failed = Journal(SteppedClock(), Path("/dev/full")), list[Record](), list[str]()
    journal.listeners.append(heard.append)
    journal.on_failure = lambda: failed.append("once")
    for number in range(3):
        journal.write("lag", number=number)
        journal.flush()
    journal.close()
    assert journal.failure == "/dev/full: No space left on device"
    assert (len(heard), failed) == (3, ["once"])


def test_a_journal_is_appended_to(tmp_path: Path) -> None:
    for kind in ("first", "second"):
        journal = Journal(SteppedClock(), tmp_path / "device.jsonl")
        journal.write(kind)
        journal.close()
    assert [record["kind"] for record in read_journal(tmp_path / "device.jsonl")[0]] == ["first", "second"]


@pytest.mark.parametrize("length", range(len(SECOND) + 1))
def test_a_last_line_torn_anywhere_is_counted_and_costs_no_other(tmp_path: Path, length: int) -> None:
    path = tmp_path / "device.jsonl"
    path.write_bytes(FIRST + SECOND[:length])
    records, torn = read_journal(path)
    whole = length >= len(SECOND) - 1
    assert [record["kind"] for record in records] == ["header", "accepted"][: 1 + whole]
    assert torn == (0 if whole or length == 0 else 1)


@pytest.mark.parametrize(
    "line", [b"\n", b"7\n", b"[]\n", b"null\n", b"{}\n", b'{"t":1.0}\n', b"\xff\n", b'{"kind":"\xc3\n', b"\0\0\0\n"]
)
def test_a_line_that_is_no_record_is_counted_wherever_it_stands(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "device.jsonl"
    path.write_bytes(FIRST + line + SECOND)
    records, torn = read_journal(path)
    assert [record["kind"] for record in records] == ["header", "accepted"]
    assert torn == 1


def test_an_empty_journal_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "device.jsonl"
    path.touch()
    assert read_journal(path) == ([], 0)
