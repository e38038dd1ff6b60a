"""The registry on disk: durable when reported, all or nothing, in commit order."""

import asyncio
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from broker.auth.registry import Device, DeviceProtocol, NewDevice, Slot
from broker.errors import StoreError
from broker.store.sqlite import Done, SqliteStore
from tests.broker.rig import FakeClock

Outcome = list[Device] | StoreError


def new(device_id: str = "d1", **fields: Any) -> NewDevice:
    return NewDevice(
        **{
            "device_id": device_id,
            "node_id": device_id,
            "product_id": None,
            "protocol": DeviceProtocol.MQTT,
            "primary": "primary-secret-1",
            "secondary": None,
            **fields,
        }
    )


def open_store(path: Path | None) -> SqliteStore:
    return SqliteStore(path, asyncio.get_running_loop(), busy_timeout_s=0.05, clock=FakeClock())


async def outcome(write: Callable[[Done], None]) -> Outcome:
    answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    write(answer.set_result)
    async with asyncio.timeout(5):
        return await answer


async def devices(write: Callable[[Done], None]) -> list[Device]:
    result = await outcome(write)
    assert not isinstance(result, StoreError), result
    return result


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = open_store(tmp_path / "k.db")
    yield store
    store.close()


async def test_provisioned_device_is_there_after_reopening(tmp_path: Path) -> None:
    store = open_store(tmp_path / "k.db")
    wanted = new("p_n", node_id="n", product_id="p", secondary="secondary-1", secure_access=True)
    (stored,) = await devices(lambda done: store.provision([wanted], done))
    store.close()
    reopened = open_store(tmp_path / "k.db")
    assert reopened.load() == [stored]
    reopened.close()
    assert (stored.device_id, stored.node_id, stored.product_id, stored.secure_access) == (
        "p_n",
        "n",
        "p",
        True,
    )
    assert stored.secondary
    assert (stored.primary.value, stored.secondary.value) == ("primary-secret-1", "secondary-1")


async def test_versions_count_up_within_each_slot(store: SqliteStore) -> None:
    await devices(lambda done: store.provision([new()], done))
    (first,) = await devices(lambda done: store.reset_secret("d1", Slot.SECONDARY, "secondary-2", done))
    (second,) = await devices(lambda done: store.reset_secret("d1", Slot.PRIMARY, "primary-2", done))
    assert first.secondary
    assert second.secondary
    assert (first.primary.version, first.secondary.version) == (1, 1)
    assert (second.primary.version, second.secondary.version) == (2, 1)


async def test_replacing_a_device_goes_on_counting(store: SqliteStore) -> None:
    await devices(lambda done: store.provision([new(secondary="secondary-1")], done))
    (without,) = await devices(lambda done: store.provision([new()], done))
    (again,) = await devices(lambda done: store.provision([new(secondary="secondary-3")], done))
    assert without.secondary is None
    assert again.secondary
    assert (without.primary.version, again.primary.version, again.secondary.version) == (2, 3, 2)


async def test_resets_in_flight_together_get_different_versions_in_order(store: SqliteStore) -> None:
    await devices(lambda done: store.provision([new()], done))
    seen: list[Outcome] = []
    finished = asyncio.Event()

    def note(result: Outcome) -> None:
        seen.append(result)
        if len(seen) == 50:
            finished.set()

    for number in range(50):
        store.reset_secret("d1", Slot.PRIMARY, f"primary-{number:03}", note)
    await asyncio.wait_for(finished.wait(), 5)
    pairs = [(one[0].primary.version, one[0].primary.value) for one in seen if not isinstance(one, StoreError)]
    assert pairs == [(number + 2, f"primary-{number:03}") for number in range(50)]


async def test_reset_of_a_missing_device_meets_none(store: SqliteStore) -> None:
    assert await devices(lambda done: store.reset_secret("nobody", Slot.PRIMARY, "primary-2", done)) == []


async def test_freezing_twice_meets_none_the_second_time(store: SqliteStore) -> None:
    await devices(lambda done: store.provision([new()], done))
    (frozen,) = await devices(lambda done: store.set_frozen("d1", frozen=True, done=done))
    assert frozen.frozen
    assert await devices(lambda done: store.set_frozen("d1", frozen=True, done=done)) == []
    (thawed,) = await devices(lambda done: store.set_frozen("d1", frozen=False, done=done))
    assert not thawed.frozen


async def test_locked_database_refuses_and_changes_nothing(tmp_path: Path, store: SqliteStore) -> None:
    (before,) = await devices(lambda done: store.provision([new()], done))
    other = sqlite3.connect(tmp_path / "k.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    refused = await outcome(lambda done: store.reset_secret("d1", Slot.PRIMARY, "primary-2", done))
    assert isinstance(refused, StoreError)
    other.execute("ROLLBACK")
    other.close()
    assert store.load() == [before]
    (after,) = await devices(lambda done: store.reset_secret("d1", Slot.PRIMARY, "primary-2", done))
    assert after.primary.version == 2


async def test_full_database_refuses_and_changes_nothing(store: SqliteStore) -> None:
    (before,) = await devices(lambda done: store.provision([new()], done))
    store._connection.execute("PRAGMA max_page_count = 1")
    many = [new(f"d{number}", primary="x" * 32) for number in range(2000)]
    assert isinstance(await outcome(lambda done: store.provision(many, done)), StoreError)
    assert store.load() == [before]


async def test_one_unfit_row_refuses_the_whole_provisioning(store: SqliteStore) -> None:
    unfit = new("d2", protocol="carrier pigeon")
    assert isinstance(await outcome(lambda done: store.provision([new(), unfit], done)), StoreError)
    assert store.load() == []


async def test_close_answers_what_was_asked_before(tmp_path: Path) -> None:
    store = open_store(tmp_path / "k.db")
    answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    store.provision([new()], answer.set_result)
    store.close()
    assert not isinstance(await asyncio.wait_for(answer, 5), StoreError)


async def test_memory_needs_no_file() -> None:
    store = open_store(None)
    assert len(await devices(lambda done: store.provision([new()], done))) == 1
    store.close()


async def test_file_with_secrets_is_for_its_owner_only(tmp_path: Path, store: SqliteStore) -> None:
    assert stat.S_IMODE((tmp_path / "k.db").stat().st_mode) == 0o600


async def test_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "k.db").write_text("not a database, but long enough to look like something" * 10)
    with pytest.raises(StoreError, match="not a database"):
        open_store(tmp_path / "k.db")


async def test_database_of_a_later_version_is_refused(tmp_path: Path) -> None:
    later = sqlite3.connect(tmp_path / "k.db")
    later.execute("PRAGMA user_version = 99")
    later.close()
    with pytest.raises(StoreError, match="schema 99"):
        open_store(tmp_path / "k.db")


def test_new_device_never_shows_its_secrets() -> None:
    assert "primary-secret-1" not in repr(new())


WRITER = """
import asyncio, sys
from pathlib import Path
from broker.auth.registry import DeviceProtocol, NewDevice, Slot
from broker.clock import SystemClock
from broker.store.sqlite import SqliteStore

async def main():
    store = SqliteStore(Path(sys.argv[1]), asyncio.get_running_loop(), 1.0, SystemClock())
    devices = [NewDevice(f"d{n}", f"d{n}", None, DeviceProtocol.MQTT, "primary-0", None) for n in range(8)]
    store.provision(devices, lambda outcome: None)
    def again(device_id, version):
        def done(outcome):
            sys.stdout.write(f"{device_id} {outcome[0].primary.version} {outcome[0].primary.value}\\n")
            sys.stdout.flush()
            again(device_id, version + 1)
        store.reset_secret(device_id, Slot.PRIMARY, f"primary-{version}", done)
    for number in range(8):
        again(f"d{number}", 2)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def kill_a_writer(path: Path) -> list[str]:
    """Let a process reset and report for a while, kill it, and return what it reported."""
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout
        reported = [writer.stdout.readline() for _ in range(400)]
        writer.kill()
        return reported + writer.stdout.readlines()


async def test_killed_writer_loses_nothing_that_it_reported(tmp_path: Path) -> None:
    reported = kill_a_writer(tmp_path / "k.db")
    last: dict[str, tuple[int, str]] = {}
    for line in reported:
        if line.endswith("\n"):
            device_id, number, value = line.split()
            last[device_id] = (int(number), value)
    store = open_store(tmp_path / "k.db")
    stored = {one.device_id: one.primary for one in store.load()}
    store.close()
    assert len(last) == 8
    for device_id, (version, told) in last.items():
        secret = stored[device_id]
        assert secret.version >= version
        assert secret.value == f"primary-{secret.version}", "a version and a value of different resets"
        assert secret.version > version or secret.value == told


async def test_failing_callback_does_not_keep_the_others_of_its_batch_from_theirs(store: SqliteStore) -> None:
    reported: list[object] = []
    last: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))

    def fail(_: Outcome) -> None:
        raise RuntimeError("a bug of ours")

    store.provision([new("d1")], fail)
    store.provision([new("d2")], fail)
    store.provision([new("d3")], last.set_result)
    assert not isinstance(await asyncio.wait_for(last, 5), StoreError)
    assert [str(one) for one in reported] == ["a bug of ours"] * 2


async def test_commits_are_synced_to_the_disk(store: SqliteStore) -> None:
    def pragma(name: str) -> Any:
        return store._connection.execute(f"PRAGMA {name}").fetchone()[0]

    assert (pragma("journal_mode"), pragma("synchronous")) == ("wal", FULL)


FULL = 2


async def test_database_is_one_platforms_until_that_one_closes(tmp_path: Path, store: SqliteStore) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "k.db")
    for name in ("k.db", "link.db"):
        with pytest.raises(StoreError, match="another platform"):
            open_store(tmp_path / name)
    store.close()
    open_store(tmp_path / "link.db").close()


async def test_store_that_did_not_open_leaves_no_lock(tmp_path: Path) -> None:
    (tmp_path / "k.db").write_text("not a database, but long enough to look like something" * 10)
    for _ in range(2):
        with pytest.raises(StoreError, match="not a database"):
            open_store(tmp_path / "k.db")
