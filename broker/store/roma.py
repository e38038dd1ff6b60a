"""The tables of ROMA LINK: products and devices, with their authentications."""

import sqlite3
from collections.abc import Callable
from dataclasses import asdict, fields
from typing import TypeVar

from broker.auth.roma import (
    Authentication,
    NewRomaDevice,
    Product,
    ProductFacts,
    RomaDevice,
    RomaDeviceChanges,
    RomaRegistry,
)
from broker.auth.secret import Secret
from broker.clock import Clock
from broker.errors import StoreError
from broker.store.sqlite import SqliteStore

T = TypeVar("T")
Done = Callable[[list[T] | StoreError], None]

FACTS = tuple(one.name for one in fields(ProductFacts))

LOAD_PRODUCTS = "SELECT * FROM roma_product ORDER BY id"
LOAD_DEVICES = "SELECT * FROM roma_device ORDER BY id"

CREATE_PRODUCT = f"""
    INSERT INTO roma_product ({", ".join(FACTS)}, created_ms, user_name, password, authentication_version)
    SELECT {", ".join(f":{one}" for one in FACTS)}, :created_ms, :user_name, :password, 1
    WHERE true
    ON CONFLICT (name) DO NOTHING
    RETURNING *
"""

DELETE_PRODUCT = """
    DELETE FROM roma_product
    WHERE id = :id AND NOT EXISTS (SELECT 1 FROM roma_device WHERE product_id = :id) RETURNING *
"""

CREATE_DEVICE = """
    INSERT INTO roma_device (
        id, client_id, product_id, device_name, node_id, app_id, description,
        disabled, created_ms, user_name, password, authentication_version
    ) SELECT
        next.id, next.client_id, :product_id, :device_name, :node_id, :app_id, :description,
        :disabled, :created_ms, :user_name, :password, 1
    FROM (
        SELECT id, printf('D%09d', id) || :suffix AS client_id
        FROM (SELECT coalesce(max(seq), 0) + 1 AS id FROM sqlite_sequence WHERE name = 'roma_device')
    ) AS next
    WHERE EXISTS (SELECT 1 FROM roma_product WHERE id = :product_id)
        AND NOT EXISTS (SELECT 1 FROM device WHERE device_id = next.client_id)
    RETURNING *
"""

UPDATE_DEVICE = """
    UPDATE roma_device SET
        device_name = coalesce(:device_name, device_name),
        description = coalesce(:description, description),
        disabled = coalesce(:disabled, disabled)
    WHERE id = :id RETURNING *
"""

DELETE_DEVICE = "DELETE FROM roma_device WHERE id = :id RETURNING *"

_RESET = """
    SET user_name = coalesce(:user_name, user_name),
        password = coalesce(:password, password),
        authentication_version = authentication_version + 1
    WHERE id = :id RETURNING *
"""
RESET_DEVICE = f"UPDATE roma_device {_RESET}"
RESET_PRODUCT = f"UPDATE roma_product {_RESET}"


class RomaTables:
    """Reads and writes them through the one writer of the database; every outcome is as committed."""

    def __init__(self, store: SqliteStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def load(self) -> RomaRegistry:
        """Read everything; call it before the first write."""
        return RomaRegistry(self._store.rows(LOAD_PRODUCTS, _product), self._store.rows(LOAD_DEVICES, _device))

    def create_product(self, facts: ProductFacts, user_name: str, password: str, done: Done[Product]) -> None:
        """Add a product; none is the outcome if its name is taken."""
        row = {**asdict(facts), "user_name": user_name, "password": password, "created_ms": self._now_ms()}
        self._store.submit(CREATE_PRODUCT, (row,), done, _product)

    def delete_product(self, product_id: int, done: Done[Product]) -> None:
        """Delete a product; none is the outcome if it has devices."""
        self._store.submit(DELETE_PRODUCT, ({"id": product_id},), done, _product)

    def create_device(self, new: NewRomaDevice, suffix: str, done: Done[RomaDevice]) -> None:
        """Add a device, with its id and this suffix in its client id; none is the outcome if its product is gone."""
        row = {**asdict(new), "suffix": suffix, "created_ms": self._now_ms()}
        self._store.submit(CREATE_DEVICE, (row,), done, _device)

    def update_device(self, device_id: int, changes: RomaDeviceChanges, done: Done[RomaDevice]) -> None:
        self._store.submit(UPDATE_DEVICE, ({"id": device_id, **asdict(changes)},), done, _device)

    def delete_device(self, device_id: int, done: Done[RomaDevice]) -> None:
        self._store.submit(DELETE_DEVICE, ({"id": device_id},), done, _device)

    def reset_device(self, device_id: int, user_name: str | None, password: str | None, done: Done[RomaDevice]) -> None:
        """Change what is not None; a version is used up in any case."""
        row = {"id": device_id, "user_name": user_name, "password": password}
        self._store.submit(RESET_DEVICE, (row,), done, _device)

    def reset_product(self, product_id: int, user_name: str | None, password: str | None, done: Done[Product]) -> None:
        """Change what is not None; a version is used up in any case."""
        row = {"id": product_id, "user_name": user_name, "password": password}
        self._store.submit(RESET_PRODUCT, (row,), done, _product)

    def _now_ms(self) -> int:
        return int(self._clock.utc().timestamp() * 1000)


def _product(row: sqlite3.Row) -> Product:
    facts = ProductFacts(**{one: row[one] for one in FACTS})
    return Product(row["id"], facts, _authentication(row), row["created_ms"])


def _device(row: sqlite3.Row) -> RomaDevice:
    return RomaDevice(
        id=row["id"],
        client_id=row["client_id"],
        product_id=row["product_id"],
        device_name=row["device_name"],
        node_id=row["node_id"],
        app_id=row["app_id"],
        description=row["description"],
        disabled=bool(row["disabled"]),
        created_ms=row["created_ms"],
        authentication=_authentication(row),
    )


def _authentication(row: sqlite3.Row) -> Authentication:
    return Authentication(row["user_name"], Secret(row["password"], row["authentication_version"]))
