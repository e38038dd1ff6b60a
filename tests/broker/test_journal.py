"""The journal: whole lines, ranges, torn ends, full disks, readers."""

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from broker.errors import SettingsError
from broker.journal import Journal, plain_integer
from tests.broker.rig import FakeClock
from tests.support.waiting import turns


def open_journal(path: Path | None, ring: int = 100) -> Journal:
    def never(callback: Callable[[], None]) -> None: ...

    return Journal(path, FakeClock(), never, ring)


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


async def read_all(journal: Journal) -> list[Any]:
    journal.end_following()
    return [json.loads(line) async for _, batch in journal.follow() for line in batch]


def kinds(batch: tuple[int, list[bytes]]) -> tuple[int, list[str]]:
    first, lines = batch
    return first, [json.loads(line)["kind"] for line in lines]


def test_record_is_on_disk_after_flush_and_not_before(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "j")
    journal.write("frozen", device="d1")
    assert lines(tmp_path / "j") == []
    journal.flush()
    assert lines(tmp_path / "j") == [{"t": 1000.0, "kind": "frozen", "device": "d1"}]
    journal.close()


def test_first_record_of_a_turn_asks_for_a_flush_once(tmp_path: Path) -> None:
    asked: list[Callable[[], None]] = []
    journal = Journal(tmp_path / "j", FakeClock(), asked.append, 100)
    journal.write("frozen", device="d1")
    journal.write("frozen", device="d2")
    (flush,) = asked
    flush()
    assert len(lines(tmp_path / "j")) == 2
    journal.write("frozen", device="d3")
    assert len(asked) == 2
    journal.close()


def test_consecutive_uplinks_of_a_turn_are_one_range_per_device_and_qos(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "j")
    for device, qos, seq in [
        ("a", 1, 1),
        ("b", 1, 7),
        ("a", 1, 2),
        ("a", 0, 3),
        ("a", 1, 3),
        ("a", 1, 5),
        ("a", 1, 6),
    ]:
        journal.uplink(device, qos, seq)
    journal.flush()
    journal.uplink("a", 1, 7)
    journal.close()
    ranges = [(one["device"], one["qos"], one["first"], one["last"]) for one in lines(tmp_path / "j")]
    assert ranges == [("a", 1, 1, 3), ("b", 1, 7, 7), ("a", 0, 3, 3), ("a", 1, 5, 6), ("a", 1, 7, 7)]


def test_duplicate_uplink_is_recorded_twice(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "j")
    journal.uplink("a", 1, 4)
    journal.uplink("a", 1, 4)
    journal.close()
    assert [(one["first"], one["last"]) for one in lines(tmp_path / "j")] == [(4, 4), (4, 4)]


def test_torn_line_of_an_earlier_process_does_not_swallow_the_next_record(tmp_path: Path) -> None:
    (tmp_path / "j").write_bytes(b'{"kind":"reset"}\n{"kind":"acce')
    journal = open_journal(tmp_path / "j")
    journal.write("header")
    journal.close()
    assert (tmp_path / "j").read_bytes().splitlines()[1:] == [
        b'{"kind":"acce',
        b'{"t":1000.0,"kind":"header"}',
    ]


def test_whole_last_line_gets_no_blank_line_after_it(tmp_path: Path) -> None:
    (tmp_path / "j").write_bytes(b'{"kind":"stopped"}\n')
    journal = open_journal(tmp_path / "j")
    journal.write("header")
    journal.close()
    assert len((tmp_path / "j").read_bytes().splitlines()) == 2


def test_full_disk_is_said_once_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    journal = open_journal(Path("/dev/full"))
    for number in range(3):
        journal.write("frozen", device=f"d{number}")
        journal.flush()
    journal.close()
    assert journal.lost == 3
    assert capsys.readouterr().err.count("journal cannot be written") == 1


def test_write_that_stops_half_way_leaves_the_next_record_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = open_journal(tmp_path / "j")
    write, room = os.write, [5]

    def nearly_full(file: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        taken = write(file, data[: room[0]])
        room[0] -= taken
        return taken

    monkeypatch.setattr(os, "write", nearly_full)
    journal.write("frozen", device="d1")
    journal.flush()
    room[0] = 10_000
    journal.write("frozen", device="d2")
    journal.close()
    assert journal.lost == 1
    assert json.loads((tmp_path / "j").read_bytes().splitlines()[-1])["device"] == "d2"


def test_journal_that_cannot_be_opened_is_a_settings_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be opened"):
        open_journal(tmp_path / "missing" / "j")


async def test_reader_gets_what_was_then_what_comes() -> None:
    journal = open_journal(None)
    journal.write("header")
    journal.flush()
    reader = journal.follow()
    first, batch = await anext(reader)
    assert (first, [json.loads(line)["kind"] for line in batch]) == (1, ["header"])
    waiting = asyncio.ensure_future(anext(reader))
    await turns(1)
    journal.write("frozen", device="d1")
    journal.write("unfrozen", device="d1")
    journal.flush()
    first, batch = await waiting
    assert (first, [json.loads(line)["kind"] for line in batch]) == (2, ["frozen", "unfrozen"])
    journal.end_following()
    with pytest.raises(StopAsyncIteration):
        await anext(reader)


async def test_ring_keeps_the_newest() -> None:
    journal = open_journal(None, ring=3)
    for number in range(5):
        journal.write("frozen", device=f"d{number}")
    assert [one["device"] for one in await read_all(journal)] == ["d2", "d3", "d4"]


async def test_slow_reader_misses_what_fell_out_of_the_ring() -> None:
    journal = open_journal(None, ring=2)
    journal.write("header")
    journal.flush()
    reader = journal.follow()
    await anext(reader)
    for number in range(5):
        journal.write("frozen", device=f"d{number}")
        journal.flush()
    first, batch = await anext(reader)
    assert (first, [json.loads(line)["device"] for line in batch]) == (5, ["d3", "d4"])
    await reader.aclose()  # type: ignore[attr-defined]  # an async generator behind its protocol


DEEP = json.loads("[" * 400 + "]" * 400)


@pytest.mark.parametrize("unfit", [DEEP, 10**26, "\ud800", object()], ids=["deep", "large", "surrogate", "no JSON"])
def test_record_that_cannot_be_written_fails_its_writer_and_nobody_else(tmp_path: Path, unfit: Any) -> None:
    journal = open_journal(tmp_path / "j")
    journal.write("frozen", device="d1")
    with pytest.raises(TypeError):
        journal.write("answered", device="d2", result_code=unfit)
    journal.write("frozen", device="d3")
    journal.flush()
    journal.close()
    assert [one["device"] for one in lines(tmp_path / "j")] == ["d1", "d3"]


def test_uplink_that_cannot_be_written_fails_its_writer_and_nobody_else(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "j")
    journal.uplink("d1", 1, 1)
    with pytest.raises(TypeError):
        journal.uplink("d2", 1, 10**26)
    journal.uplink("d1", 1, 2)
    journal.close()
    assert [(one["device"], one["first"], one["last"]) for one in lines(tmp_path / "j")] == [("d1", 1, 2)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0),
        (-(2**63), -(2**63)),
        (2**63 - 1, 2**63 - 1),
        (2**63, None),
        (-(2**63) - 1, None),
        (1.0, None),
        (True, None),
        ("a secret", None),
        ({"a": 1}, None),
        (None, None),
    ],
)
def test_only_plain_integers_of_64_bits_are_fit_for_a_record(value: object, expected: int | None) -> None:
    assert plain_integer(value) is expected or plain_integer(value) == expected


class Disk:
    """Stands for `os.write` on a disk with this much room."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room = 1_000_000
        self._write = os.write
        monkeypatch.setattr(os, "write", self._take)

    def _take(self, file: int, data: bytes) -> int:
        if not self.room:
            raise OSError(28, "No space left on device")
        taken = self._write(file, data[: self.room])
        self.room -= taken
        return taken


def freeze(journal: Journal, *devices: str) -> None:
    for device in devices:
        journal.write("frozen", device=device)
    journal.flush()


def test_reader_of_the_file_sees_how_many_records_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, disk = open_journal(tmp_path / "j"), Disk(monkeypatch)
    freeze(journal, "d1")
    disk.room = 0
    freeze(journal, "d2", "d3")
    freeze(journal, "d4")
    disk.room = 1_000_000
    freeze(journal, "d5")
    freeze(journal, "d6")
    journal.close()
    first, gap, *rest = lines(tmp_path / "j")
    assert (first["device"], [one["device"] for one in rest]) == ("d1", ["d5", "d6"])
    assert gap == {"t": 1000.0, "kind": "gap", "lost": 3}
    assert journal.lost == 3


@pytest.mark.parametrize("room", range(0, 160, 7))
def test_gap_says_how_many_lines_are_missing_wherever_the_disk_was_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    journal, disk = open_journal(tmp_path / "j"), Disk(monkeypatch)
    for turn in range(3):
        disk.room = room if turn < 2 else 1_000_000
        freeze(journal, *(f"{turn}{number}" for number in range(3)))
    journal.close()
    kept, missing = 0, 0
    for line in (tmp_path / "j").read_bytes().splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        kept += record["kind"] == "frozen"
        missing += record.get("lost", 0)
    assert (kept + missing, journal.lost) == (9, missing)
