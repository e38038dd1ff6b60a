"""A platform of several processes as a program: its flag, its ports, and that nobody of it is left."""

import os
import signal
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.broker.test_main import process, refused
from tests.support.waiting import DEADLINE_S, until

TWO = ("--access-processes", "2")


def serving(journal: Path) -> dict[int, int]:
    """Return the access processes that the journal says serve: number and process id."""
    found: dict[int, int] = {}
    for line in journal.read_bytes().splitlines():
        one: dict[str, Any] = orjson.loads(line)
        if one["kind"] == "process" and one["state"] == "serving":
            found[one["process"]] = one["pid"]
        elif one["kind"] == "process":
            del found[one["process"]]
    return found


async def over(*pids: int) -> None:
    """Wait until these processes are no more; they are no children of ours."""
    await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), f"{pids} end")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal_to_all_stops_it_cleanly(number: signal.Signals, tmp_path: Path) -> None:
    with process(*TWO, "--journal", str(tmp_path / "j")) as (child, _):
        pids = serving(tmp_path / "j").values()
        assert len(set(pids)) == 2
        for pid in pids:
            os.kill(pid, number)
        child.send_signal(number)
        assert child.wait(DEADLINE_S) == 0
        await over(*pids)
    said = [orjson.loads(line) for line in (tmp_path / "j").read_bytes().splitlines()]
    assert [one.get("state", one["kind"]) for one in said] == ["header", *["serving"] * 2, *["stopped"] * 3]


async def test_access_processes_end_with_a_platform_that_is_killed(tmp_path: Path) -> None:
    with process(*TWO, "--journal", str(tmp_path / "j")) as (child, _):
        pids = serving(tmp_path / "j").values()
        child.kill()
        await over(*pids)


def test_port_of_another_platform_is_in_use_though_it_could_be_shared() -> None:
    with process(*TWO) as (_, ready):
        said = refused(*TWO, "--mqtt-port", str(ready["mqtt"]["port"]))
    assert said.count("\n") == 1
    assert str(ready["mqtt"]["port"]) in said


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("--access-processes", "0"), "access_processes is 0"),
        (("--access-processes", "65"), "access_processes is 65"),
        ((*TWO, "--engine", "amqtt"), "amqtt"),
        ((*TWO, "--journal", "/nonexistent/j"), "/nonexistent/j"),
        ((*TWO, "--engine", "mqtt://no-such-host.invalid"), "no-such-host.invalid"),
    ],
)
def test_what_cannot_be_is_one_clear_line(flags: tuple[str, ...], expected: str) -> None:
    said = refused(*flags)
    assert expected in said
    assert "Traceback" not in said


async def test_process_that_keeps_failing_ends_the_platform(tmp_path: Path) -> None:
    """The journal's folder is gone when a process is killed: its successor cannot begin."""
    folder = tmp_path / "folder"
    folder.mkdir()
    with process(*TWO, "--journal", str(folder / "j")) as (child, _):
        victim, other = serving(folder / "j").values()
        (folder / "j").unlink()
        folder.rmdir()
        os.kill(victim, signal.SIGKILL)
        assert child.wait(DEADLINE_S) == 4
        await over(other)
        assert child.stderr is not None
        assert "devices are not let in any more" in child.stderr.read()
