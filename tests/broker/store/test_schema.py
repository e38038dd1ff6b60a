"""Databases of before go on living; what device management asks of the tables."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broker.auth.registry import DeviceChanges, Secret, Slot, record_id_from
from broker.presence import Presence
from broker.statistics import Statistics
from broker.store import schema
from broker.store.activations import ActivationKeeper
from broker.store.sqlite import SqliteStore
from tests.broker.rig import START
from tests.broker.store.test_sqlite import devices, new, open_store


@pytest.fixture
async def store() -> AsyncIterator[SqliteStore]:
    store = open_store(None)
    yield store
    store.close()


def database_of_schema_1(path: Path, *rows: str) -> None:
    """Write a database as the platform wrote them before it managed devices."""
    database = sqlite3.connect(path)
    for statement in schema.REGISTRY:
        database.execute(statement)
    for device_id in rows:
        database.execute(
            "INSERT INTO device VALUES (?, ?, 'p', 'mqtt', 'primary-secret-7', 7, 'secondary-3', 3, 1, 0)",
            (device_id, f"node-{device_id}"),
        )
    database.execute("PRAGMA user_version = 1")
    database.commit()
    database.close()


async def test_database_of_schema_1_is_upgraded_with_all_that_it_holds(tmp_path: Path) -> None:
    database_of_schema_1(tmp_path / "k.db", "b", "a")
    store = open_store(tmp_path / "k.db")
    first, second = store.load()
    store.close()
    assert (first.device_id, second.device_id) == ("a", "b")
    assert (first.node_id, first.product_id, first.frozen) == ("node-a", "p", True)
    assert (first.primary, first.secondary) == (Secret("primary-secret-7", 7), Secret("secondary-3", 3))
    assert (first.device_name, first.description, first.timeout_s) == (None, None, 0)
    assert first.created_at.year >= 2024
    assert second.record_id == first.record_id + 1


async def test_upgraded_database_is_no_other_than_a_new_one(tmp_path: Path) -> None:
    database_of_schema_1(tmp_path / "old.db", "a")
    tables = []
    for name in ("old.db", "new.db"):
        open_store(tmp_path / name).close()
        database = sqlite3.connect(tmp_path / name)
        tables.append((database.execute("SELECT sql FROM sqlite_schema").fetchall(), _version(database)))
        database.close()
    assert tables[0] == tables[1]


def _version(database: sqlite3.Connection) -> int:
    version: int = database.execute("PRAGMA user_version").fetchone()[0]
    return version


async def test_database_of_schema_2_gets_its_products(tmp_path: Path) -> None:
    database_of_schema_1(tmp_path / "k.db", "a")
    database = sqlite3.connect(tmp_path / "k.db")
    for statement in schema.DEVICE_MANAGEMENT:
        database.execute(statement)
    database.execute("PRAGMA user_version = 2")
    database.commit()
    database.close()
    store = open_store(tmp_path / "k.db")
    assert ([one.device_id for one in store.load()], store.load_products()) == (["a"], [])
    store.close()


async def test_upgraded_database_stays_upgraded_and_goes_on_counting(tmp_path: Path) -> None:
    database_of_schema_1(tmp_path / "k.db", "a")
    open_store(tmp_path / "k.db").close()
    store = open_store(tmp_path / "k.db")
    (changed,) = await devices(lambda done: store.reset_secret("a", Slot.PRIMARY, "primary-secret-8", done))
    assert changed.primary == Secret("primary-secret-8", 8)
    store.close()


async def test_later_device_has_the_larger_record_id_whatever_the_clock_says(store: SqliteStore) -> None:
    await devices(lambda done: store.provision([new("z"), new("y")], done))
    (created,) = await devices(lambda done: store.create(new("a", product_id="p"), done))
    ids = [one.record_id for one in store.load()]
    assert ids == [record_id_from(START) + place for place in range(3)]
    assert [one.device_id for one in store.load()] == ["z", "y", "a"]
    assert created.created_at == START


async def test_replaced_device_keeps_its_age_and_its_name(store: SqliteStore) -> None:
    (first,) = await devices(lambda done: store.create(new(product_id="p", device_name="meter"), done))
    (again,) = await devices(lambda done: store.provision([new(product_id="p")], done))
    assert (again.record_id, again.device_name) == (first.record_id, "meter")
    assert again.primary.version == 2


@pytest.mark.parametrize(
    "second",
    [new("d1", node_id="n2", product_id="p"), new("d2", node_id="n1", product_id="p")],
    ids=["same device id", "same node id of a product"],
)
async def test_device_is_not_created_twice(store: SqliteStore, second: object) -> None:
    first = new("d1", node_id="n1", product_id="p")
    outcomes: list[object] = []
    answered = asyncio.Event()
    store.create(first, outcomes.append)
    store.create(second, lambda outcome: (outcomes.append(outcome), answered.set()))  # type: ignore[arg-type,func-returns-value]
    await asyncio.wait_for(answered.wait(), 5)
    assert outcomes[1] == []
    assert len(store.load()) == 1


async def test_same_node_id_in_another_product_is_another_device(store: SqliteStore) -> None:
    await devices(lambda done: store.create(new("d1", node_id="n", product_id="p"), done))
    assert await devices(lambda done: store.create(new("d2", node_id="n", product_id="q"), done))


async def test_update_leaves_alone_what_it_does_not_name(store: SqliteStore) -> None:
    await devices(lambda done: store.create(new(product_id="p", device_name="meter", timeout_s=9), done))
    (changed,) = await devices(lambda done: store.update("d1", DeviceChanges(secure_access=True), done))
    assert (changed.device_name, changed.timeout_s, changed.secure_access) == ("meter", 9, True)
    (changed,) = await devices(lambda done: store.update("d1", DeviceChanges("valve", "", False, 0), done))
    assert (changed.device_name, changed.description) == ("valve", "")
    assert (changed.timeout_s, changed.secure_access) == (0, False)
    assert changed.primary.version == 1


async def test_first_session_is_known_after_a_restart(tmp_path: Path) -> None:
    store = open_store(tmp_path / "k.db")
    await devices(lambda done: store.provision([new("d1"), new("d2")], done))
    presence = Presence()
    presence.entered("d1", START)
    ActivationKeeper(presence, store, Statistics()).save()
    store.close()
    reopened, later = open_store(tmp_path / "k.db"), Presence()
    ActivationKeeper(later, reopened, Statistics()).restore(reopened.load())
    reopened.close()
    assert (later.activated_at("d1"), later.activated_at("d2")) == (START, None)
