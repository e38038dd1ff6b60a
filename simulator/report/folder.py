"""A report's folder on disk: the journals of a run, and what was made of them."""

import fcntl
import heapq
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from simulator.errors import UsageError
from simulator.journal import read_journal
from simulator.report.junit import junit
from simulator.report.results import results
from simulator.verdict import RunReport, judge_run

Record = dict[str, Any]

DEVICE_JOURNAL = "device.jsonl"
PLATFORM_JOURNAL = "platform.jsonl"
MERGED_JOURNAL = "journal.jsonl"
RESULTS = "results.json"
JUNIT = "junit.xml"
LOCK = ".lock"
OURS = (DEVICE_JOURNAL, PLATFORM_JOURNAL, MERGED_JOURNAL, RESULTS, JUNIT, ".gitignore", LOCK)


@dataclass(frozen=True, slots=True)
class Judged:
    """A run read back from its folder."""

    report: RunReport
    device_records: list[Record]
    platform_records: list[Record]


@contextmanager
def prepared(folder: Path) -> Iterator[None]:
    """Make room for a new run, and keep other runs out meanwhile.

    What an older run left is removed, anything else is not touched; UsageError says why there is no room.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        strangers = sorted(entry.name for entry in folder.iterdir() if entry.name not in OURS)
        if strangers:
            raise UsageError(f"{folder}: holds {strangers[0]!r}, expected an empty folder or an older report")
        lock = (folder / LOCK).open("w")
    except OSError as error:
        raise UsageError(f"{folder}: cannot be written: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"{folder}: another run is writing there; expected a folder of its own") from None
        for name in OURS:
            if name != LOCK:
                (folder / name).unlink(missing_ok=True)
        (folder / ".gitignore").write_text("*\n")
        yield


def judge_folder(folder: Path) -> Judged:
    """Read the journals of a run and judge it; UsageError when they are none."""
    path = folder / DEVICE_JOURNAL
    try:
        device_records, torn = read_journal(path)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; expected the folder of a run") from error
    platform_records: list[Record] = []
    platform_path = folder / PLATFORM_JOURNAL
    if platform_path.is_file():
        platform_records, more = read_journal(platform_path)
        torn += more
    try:
        report = judge_run(device_records, platform_records or None, torn)
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{folder}: {DEVICE_JOURNAL} is not the journal of a run: {error}") from error
    return Judged(report, device_records, platform_records)


def write_results(folder: Path, judged: Judged) -> None:
    """Write `results.json`, `junit.xml` and the merged journal; UsageError when the disk does not take them."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    try:
        (folder / RESULTS).write_bytes(orjson.dumps(results(judged.report), option=options))
        (folder / JUNIT).write_bytes(junit(judged.report))
        with (folder / MERGED_JOURNAL).open("wb") as file:
            for record in merged(judged.device_records, judged.platform_records):
                file.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
    except OSError as error:
        raise UsageError(f"{folder}: cannot be written: {error.strerror}") from error


def merged(device_records: Iterable[Record], platform_records: Iterable[Record]) -> Iterator[Record]:
    """Both journals in the order of their wall-clock times, each record with its `source` and `wall` time."""
    sides = (_with_wall("simulator", device_records), _with_wall("platform", platform_records))
    return heapq.merge(*sides, key=lambda record: float(record["wall"]))


def _with_wall(source: str, records: Iterable[Record]) -> Iterator[Record]:
    offset = 0.0
    for record in records:
        if record["kind"] == "header":
            offset = record["wall"] - record["monotonic"]
        yield {**record, "source": source, "wall": round(record["t"] + offset, 6)}
