"""The registry in SQLite: durable when a write is reported done.

One thread owns all writing. It takes whatever has been asked for meanwhile, commits it as one transaction, and hands
the outcomes to the loop in commit order: one sync of the disk serves many resets.
"""

import fcntl
import os
import sqlite3
from asyncio import AbstractEventLoop
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from broker.auth.plain_login import is_client_id
from broker.auth.registry import (
    Device,
    DeviceChanges,
    DeviceProtocol,
    NewDevice,
    Product,
    Secret,
    Slot,
    record_id_from,
)
from broker.clock import Clock
from broker.errors import StoreError
from broker.store import schema

R = TypeVar("R")
Done = Callable[[list[Device] | StoreError], None]
ProductDone = Callable[[list[Product] | StoreError], None]
SLOTS = {Slot.PRIMARY: schema.RESET_PRIMARY, Slot.SECONDARY: schema.RESET_SECONDARY}


@dataclass(frozen=True, slots=True)
class Write:
    """A statement, the rows it is for, who wants to know, and how the rows that it returns are read."""

    sql: str
    rows: Sequence[Mapping[str, object]] = field(repr=False)
    done: Callable[[Any], None]
    read: Callable[[sqlite3.Row], object]


class SqliteStore:
    """Devices in a SQLite file, or in memory when there is no path.

    A file belongs to one store at a time: StoreError when another has it.
    Every write is answered exactly once, on the loop: with the devices as committed (none, if the statement met
    none), or with the StoreError that kept it from happening.
    """

    def __init__(self, path: Path | None, loop: AbstractEventLoop, busy_timeout_s: float, clock: Clock) -> None:
        self._loop = loop
        self._clock = clock
        self._queue: SimpleQueue[Write | None] = SimpleQueue()
        self._lock = None if path is None else _lock(path)
        try:
            self._connection = _connect(path, busy_timeout_s)
            self._last_record_id = _last_record_id(self._connection)
        except StoreError:
            self._unlock()
            raise
        self._thread = Thread(target=self._run, name="store", daemon=True)
        self._thread.start()

    def load(self) -> list[Device]:
        """Read every device, the oldest first; call it before the first write."""
        return self.rows(schema.LOAD, _device)

    def load_activations(self) -> dict[str, int]:
        """Read when each device came in for the first time, in milliseconds; call it before the first write."""
        return dict(self.rows(schema.LOAD_ACTIVATIONS, lambda row: (row["device_id"], row["activated_ms"])))

    def rows(self, sql: str, read: Callable[[sqlite3.Row], R]) -> list[R]:
        """Read what a query finds; call it before the first write."""
        try:
            return [read(row) for row in self._connection.execute(sql)]
        except sqlite3.Error as error:
            raise StoreError(f"the device database cannot be read: {error}") from error

    def submit(
        self,
        sql: str,
        rows: Sequence[Mapping[str, object]],
        done: Callable[[list[R] | StoreError], None],
        read: Callable[[sqlite3.Row], R],
    ) -> None:
        """Have a statement run for each of these parameters, all of them or none."""
        self._queue.put(Write(sql, rows, done, read))

    def load_products(self) -> list[Product]:
        """Read every product; call it before the first write."""
        return self.rows(schema.LOAD_PRODUCTS, _product)

    def put_product(self, product: Product, done: ProductDone) -> None:
        """Add a product or change its protocol; none is the outcome if it has devices of another protocol."""
        self.submit(schema.PUT_PRODUCT, (asdict(product),), done, _product)

    def reset_secret(self, device_id: str, slot: Slot, secret: str, done: Done) -> None:
        self.submit(SLOTS[slot], ({"device_id": device_id, "secret": secret},), done, _device)

    def set_frozen(self, device_id: str, *, frozen: bool, done: Done) -> None:
        """Freeze or unfreeze; a device that already is in that state is not among the outcome."""
        self.submit(schema.SET_FROZEN, ({"device_id": device_id, "frozen": frozen},), done, _device)

    def delete(self, device_id: str, done: Done) -> None:
        """Delete a device; the outcome is the device as it was."""
        self.submit(schema.DELETE, ({"device_id": device_id},), done, _device)

    def provision(self, devices: Sequence[NewDevice], done: Done) -> None:
        """Add or replace all of these devices, or none."""
        first = self._take_record_ids(len(devices))
        rows = [_parameters(device, record_id) for record_id, device in enumerate(devices, first)]
        self.submit(schema.PROVISION, rows, done, _device)

    def create(self, device: NewDevice, done: Done) -> None:
        """Add a device; none is the outcome if its id, or its node id within its product, is taken."""
        self.submit(schema.CREATE, (_parameters(device, self._take_record_ids(1)),), done, _device)

    def update(self, device_id: str, changes: DeviceChanges, done: Done) -> None:
        self.submit(schema.UPDATE, ({"device_id": device_id, **asdict(changes)},), done, _device)

    def activate(self, activations: Sequence[tuple[str, int]], done: Done) -> None:
        """Keep when these devices came in for the first time, in milliseconds; the outcome names none of them."""
        rows: list[dict[str, Any]] = [
            {"device_id": device_id, "activated_ms": at_ms} for device_id, at_ms in activations
        ]
        self.submit(schema.ACTIVATE, rows, done, _device)
        if roma := [row for row in rows if is_client_id(row["device_id"])]:
            self.submit(schema.ACTIVATE_ROMA, roma, done, _device)

    def close(self) -> None:
        """Finish what was asked for, then let go of the file."""
        self._queue.put(None)
        self._thread.join()
        self._connection.close()
        self._unlock()

    def _take_record_ids(self, count: int) -> int:
        """Return the first of so many ids, all larger than those before, whatever the clock does."""
        first = max(record_id_from(self._clock.utc()), self._last_record_id + 1)
        self._last_record_id = first + count - 1
        return first

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            writes, closing = [first], False
            while not self._queue.empty() and not closing:
                following = self._queue.get()
                if following is None:
                    closing = True
                else:
                    writes.append(following)
            for write, outcome in zip(writes, self._commit(writes), strict=True):
                self._loop.call_soon_threadsafe(write.done, outcome)  # each alone: one that fails is alone too
            if closing:
                return

    def _commit(self, writes: list[Write]) -> Sequence[list[object] | StoreError]:
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            outcomes = [_perform(connection, write) for write in writes]
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            return [StoreError(f"the device database refused: {error}")] * len(writes)
        return outcomes


def _perform(connection: sqlite3.Connection, write: Write) -> list[object]:
    return [write.read(row) for parameters in write.rows for row in connection.execute(write.sql, parameters)]


def _lock(path: Path) -> int:
    """Keep other platforms off this database; the kernel lets go of the lock with the process, however that ends."""
    try:
        file = os.open(f"{path.resolve()}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            os.close(file)
            raise
    except BlockingIOError:
        raise StoreError(f"the device database {path} is in use by another platform") from None
    except OSError as error:
        raise StoreError(f"the device database {path} cannot be opened: {error}") from error
    return file


def _connect(path: Path | None, busy_timeout_s: float) -> sqlite3.Connection:
    try:
        if path is not None:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(
            path or ":memory:", timeout=busy_timeout_s, isolation_level=None, check_same_thread=False
        )
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        _migrate(connection)
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"the device database {path} cannot be opened: {error}") from error
    return connection


def _last_record_id(connection: sqlite3.Connection) -> int:
    try:
        last: int = connection.execute(schema.LAST_RECORD_ID).fetchone()[0]
    except sqlite3.Error as error:
        raise StoreError(f"the device database cannot be read: {error}") from error
    return last


def _migrate(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(schema.MIGRATIONS):
        raise StoreError(f"the device database has schema {version}, this platform knows {len(schema.MIGRATIONS)}")
    for migration in schema.MIGRATIONS[version:]:
        for statement in migration:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS)}")
    connection.execute("COMMIT")


def _product(row: sqlite3.Row) -> Product:
    return Product(row["product_id"], DeviceProtocol(row["protocol"]))


def _device(row: sqlite3.Row) -> Device:
    secondary = row["secondary_secret"]
    return Device(
        device_id=row["device_id"],
        node_id=row["node_id"],
        product_id=row["product_id"],
        protocol=DeviceProtocol(row["protocol"]),
        primary=Secret(row["primary_secret"], row["primary_version"]),
        secondary=None if secondary is None else Secret(secondary, row["secondary_version"]),
        frozen=bool(row["frozen"]),
        secure_access=bool(row["secure_access"]),
        record_id=row["record_id"],
        device_name=row["device_name"],
        description=row["description"],
        timeout_s=row["timeout_s"],
    )


def _parameters(device: NewDevice, record_id: int) -> dict[str, object]:
    return {
        "device_id": device.device_id,
        "node_id": device.node_id,
        "product_id": device.product_id,
        "protocol": device.protocol,
        "primary": device.primary,
        "secondary": device.secondary,
        "secure_access": device.secure_access,
        "device_name": device.device_name,
        "description": device.description,
        "timeout_s": device.timeout_s,
        "record_id": record_id,
    }
