"""Products and devices of ROMA LINK on disk."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from broker.auth.plain_login import is_client_id
from broker.auth.roma import NewRomaDevice, ProductFacts, RomaDeviceChanges
from broker.errors import StoreError
from broker.presence import Presence
from broker.statistics import Statistics
from broker.store.activations import ActivationKeeper
from broker.store.roma import RomaTables
from broker.store.sqlite import SqliteStore
from tests.broker.rig import START, FakeClock
from tests.broker.store.test_schema import database_of_schema_1
from tests.broker.store.test_sqlite import open_store

METERS = ProductFacts("meters", "hall", "acme", "Acme", "m1", 0, 0)


@pytest.fixture
async def store() -> AsyncIterator[SqliteStore]:
    store = open_store(None)
    yield store
    store.close()


@pytest.fixture
def tables(store: SqliteStore) -> RomaTables:
    return RomaTables(store, FakeClock())


async def outcome(write: Callable[[Callable[[Any], None]], None]) -> Any:
    answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    write(answered.set_result)
    found = await asyncio.wait_for(answered, 10)
    assert not isinstance(found, StoreError), found
    return found


def new(product_id: int = 1, **fields: Any) -> NewRomaDevice:
    known = {"device_name": "meter", "node_id": "m", "app_id": "hall", "description": None, "disabled": False}
    return NewRomaDevice(**{"product_id": product_id, **known, "user_name": "u", "password": "p", **fields})


async def filled(tables: RomaTables) -> None:
    await outcome(lambda done: tables.create_product(METERS, "shared", "secret", done))
    await outcome(lambda done: tables.create_device(new(), "abcdef", done))


async def test_all_that_is_known_is_known_after_a_restart(tmp_path: Path) -> None:
    store = open_store(tmp_path / "k.db")
    tables = RomaTables(store, FakeClock())
    await filled(tables)
    (device,) = await outcome(lambda done: tables.reset_device(1, "other", None, done))
    (product,) = await outcome(lambda done: tables.reset_product(1, None, "another", done))
    store.close()
    reopened = open_store(tmp_path / "k.db")
    registry = RomaTables(reopened, FakeClock()).load()
    reopened.close()
    assert registry.get(1) == device
    assert registry.product(1) == product
    assert (device.authentication.user_name, device.authentication.password.value) == ("other", "p")
    assert (product.authentication.user_name, product.authentication.password.value) == ("shared", "another")
    assert device.authentication.password.version == product.authentication.password.version == 2
    assert device.created_ms == product.created_ms == START.timestamp() * 1000
    assert product.facts == METERS


async def test_id_is_in_the_client_id_and_is_never_used_again(tables: RomaTables) -> None:
    await filled(tables)
    (second,) = await outcome(lambda done: tables.create_device(new(), "ABC123", done))
    await outcome(lambda done: tables.delete_device(2, done))
    (third,) = await outcome(lambda done: tables.create_device(new(), "ABC123", done))
    assert (second.id, second.client_id) == (2, "D000000002ABC123")
    assert (third.id, third.client_id) == (3, "D000000003ABC123")
    assert is_client_id(third.client_id)


async def test_device_of_no_product_is_not_created(tables: RomaTables) -> None:
    assert await outcome(lambda done: tables.create_device(new(7), "abcdef", done)) == []


async def test_product_of_a_taken_name_is_not_created(tables: RomaTables) -> None:
    await filled(tables)
    assert await outcome(lambda done: tables.create_product(METERS, "u", "p", done)) == []


async def test_product_that_has_devices_stays(tables: RomaTables) -> None:
    await filled(tables)
    assert await outcome(lambda done: tables.delete_product(1, done)) == []
    await outcome(lambda done: tables.delete_device(1, done))
    assert len(await outcome(lambda done: tables.delete_product(1, done))) == 1


async def test_update_leaves_alone_what_it_does_not_name(tables: RomaTables) -> None:
    await filled(tables)
    (changed,) = await outcome(lambda done: tables.update_device(1, RomaDeviceChanges(disabled=True), done))
    assert (changed.device_name, changed.disabled) == ("meter", True)
    (changed,) = await outcome(lambda done: tables.update_device(1, RomaDeviceChanges("valve", "", False), done))
    assert (changed.device_name, changed.description, changed.disabled) == ("valve", "", False)
    assert changed.authentication.password.version == 1


async def test_first_session_is_known_after_a_restart(tmp_path: Path) -> None:
    store = open_store(tmp_path / "k.db")
    await filled(RomaTables(store, FakeClock()))
    presence = Presence()
    presence.entered("D000000001abcdef", START)
    ActivationKeeper(presence, store, Statistics()).save()
    store.close()
    reopened, later = open_store(tmp_path / "k.db"), Presence()
    ActivationKeeper(later, reopened, Statistics()).restore(RomaTables(reopened, FakeClock()).load())
    reopened.close()
    assert later.activated_at("D000000001abcdef") == START


async def test_database_of_before_has_no_roma_devices_and_takes_some(tmp_path: Path) -> None:
    database_of_schema_1(tmp_path / "k.db", "a")
    store = open_store(tmp_path / "k.db")
    tables = RomaTables(store, FakeClock())
    assert len(tables.load()) == 0
    await filled(tables)
    assert [one.device_id for one in store.load()] == ["a"]
    store.close()
