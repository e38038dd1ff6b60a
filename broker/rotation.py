"""Turning the keys: create, update, reset a secret, freeze, unfreeze, delete; one place for every API.

The linearisation point of a change is one callback of the loop, run when the database has committed: the registry
changes, the session is cut if it must be, the journal says so, and nothing can happen in between. The caller's answer
comes after it. So a session judged by the old registry is gone when a forced reset is answered, and a CONNECT judged
later was judged by the new one.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from broker.async_commands import AsyncCommands
from broker.auth.credentials import psk_error, secret_error
from broker.auth.registry import Device, DeviceChanges, DeviceProtocol, NewDevice, Product, Registry, Secret, Slot
from broker.errors import (
    AlreadyFrozen,
    BrokerError,
    DeviceExists,
    InvalidInput,
    NotFrozen,
    ProductHasDevices,
    StoreError,
    UnknownDevice,
)
from broker.journal import Journal
from broker.lwm2m.registrations import Departure, Registrations
from broker.sessions import Ending, Sessions
from broker.spread import Here, Spread
from broker.statistics import Statistics
from broker.store.sqlite import SqliteStore
from broker.stored import StoredStates

R = TypeVar("R")
T = TypeVar("T")
NOT_EFFECTIVE = "the secondary secret of a CoAP device is stored and never used"
NOT_CUT = "sessions of CoAP devices are not cut"


class Rotation:
    """Every change of the registry, durable before it is in force."""

    def __init__(
        self,
        registry: Registry,
        store: SqliteStore,
        sessions: Sessions,
        registrations: Registrations[Any],
        stored: StoredStates,
        async_commands: AsyncCommands,
        journal: Journal,
        statistics: Statistics,
    ) -> None:
        self._registry = registry
        self._store = store
        self._sessions = sessions
        self._registrations = registrations
        self._stored = stored
        self._async_commands = async_commands
        self._journal = journal
        self._statistics = statistics
        self.spread: Spread = Here()

    async def reset_secret(
        self, device_id: str, slot: Slot, secret: str | None, *, force: bool, request_id: str
    ) -> Secret:
        """Put a secret (or, without one, a generated one) into a slot; `force` cuts the device's session.

        The session of an NB-IoT device ends with its primary secret if the platform is strict, and else not by a reset.

        Raises UnknownDevice, InvalidInput for an unfit secret, and StoreError with nothing changed.
        """
        device = self._known(device_id)
        if secret is not None:
            _require_fit(secret, device.protocol)
        value = generated_secret() if secret is None else secret

        def in_force(changed: Device) -> Secret:
            new = changed.secret(slot)
            assert new is not None
            self._registry.put(changed)
            cut, warning = self._cut(changed, slot, force=force)
            self._statistics.resets += 1
            self._journal.write(
                "reset",
                device=device_id,
                slot=slot,
                version=new.version,
                fingerprint=new.fingerprint,
                forced=force,
                cut=cut,
                generated=secret is None,
                request_id=request_id,
                **({"warning": warning} if warning else {}),
            )
            return new

        return await self.change(
            lambda done: self._store.reset_secret(device_id, slot, value, done),
            in_force,
            UnknownDevice(device_id),
        )

    def _cut(self, device: Device, slot: Slot, *, force: bool) -> tuple[bool, str | None]:
        """End what a reset ends; tell whether there was anything, and what its caller may not expect."""
        cut = force and self._sessions.cut(device.device_id, Ending.FORCED_RESET)
        if device.protocol is not DeviceProtocol.COAP:
            return cut, None
        if slot is Slot.SECONDARY:
            return cut, NOT_EFFECTIVE
        if self._registrations.cut is None:
            return cut, NOT_CUT if force and not cut else None
        return self._registrations.cut(device.device_id) or cut, None

    async def freeze(self, device_id: str) -> None:
        """Keep a device out and cut its session. Raises UnknownDevice, AlreadyFrozen, StoreError."""
        self._known(device_id)

        def in_force(changed: Device) -> None:
            self._registry.put(changed)
            self._sessions.cut(device_id, Ending.FROZEN)
            self._registrations.end(device_id, Departure.FROZEN)
            self._journal.write("frozen", device=device_id)

        already = AlreadyFrozen(f"device {device_id!r} is already frozen")
        await self.change(
            lambda done: self._store.set_frozen(device_id, frozen=True, done=done),
            in_force,
            already,
        )

    async def unfreeze(self, device_id: str) -> None:
        """Let a frozen device in again. Raises UnknownDevice, NotFrozen, StoreError."""
        self._known(device_id)

        def in_force(changed: Device) -> None:
            self._registry.put(changed)
            self._journal.write("unfrozen", device=device_id)

        await self.change(
            lambda done: self._store.set_frozen(device_id, frozen=False, done=done),
            in_force,
            NotFrozen(f"device {device_id!r} is not frozen"),
        )

    async def delete(self, device_id: str) -> None:
        """Forget a device, its session, its stored state and its commands. Raises UnknownDevice, StoreError."""
        self._known(device_id)

        def in_force(_: Device) -> None:
            self._registry.remove(device_id)
            self._stored.delete(device_id, self._sessions.get(device_id))
            self._sessions.cut(device_id, Ending.DELETED)
            self._registrations.end(device_id, Departure.DELETED)
            self._sessions.presence.forget(device_id)
            self._async_commands.drop(device_id)
            self._journal.write("deleted", device=device_id)

        await self.change(
            lambda done: self._store.delete(device_id, done),
            in_force,
            UnknownDevice(device_id),
        )

    async def create(self, new: NewDevice) -> Device:
        """Add a device. Raises DeviceExists, StoreError, and InvalidInput if its product has another protocol."""

        def in_force(changed: list[Device]) -> Device:
            if not changed and self._registry.protocol_of(new.product_id) not in (None, new.protocol):
                raise InvalidInput(f"product {new.product_id!r} has changed its protocol meanwhile")
            device = _only(changed, taken)
            self._registry.put(device)
            self._journal.write("created", **_added(device))
            return device

        self._require_free(new.device_id)
        taken = DeviceExists(f"device {new.device_id!r}, or node {new.node_id!r} of product {new.product_id!r}")
        return await self._durably(lambda done: self._store.create(new, done), in_force)

    async def put_product(self, product: Product) -> None:
        """Add a product, or change its protocol. Raises ProductHasDevices, StoreError."""

        def in_force(changed: list[Product]) -> None:
            if not changed:
                raise ProductHasDevices(f"product {product.product_id!r} has devices of another protocol")
            self._registry.put_product(product)
            self._journal.write("product", product=product.product_id, protocol=product.protocol)

        await self._durably(lambda done: self._store.put_product(product, done), in_force)

    async def update(self, device_id: str, changes: DeviceChanges) -> Device:
        """Change what is no secret; a session lives on. Raises UnknownDevice, StoreError."""
        self._known(device_id)

        def in_force(changed: Device) -> Device:
            self._registry.put(changed)
            self._journal.write("updated", device=device_id, changed=changes.names())
            return changed

        return await self.change(
            lambda done: self._store.update(device_id, changes, done),
            in_force,
            UnknownDevice(device_id),
        )

    async def provision(self, devices: Sequence[NewDevice]) -> int:
        """Add or replace devices, all or none; sessions live on. Raises DeviceExists, StoreError."""
        for new in devices:
            self._require_free(new.device_id)

        def in_force(changed: list[Device]) -> int:
            for device in changed:
                self._registry.put(device)
                if device.protocol is not DeviceProtocol.COAP:
                    self._registrations.end(device.device_id, Departure.PROTOCOL_CHANGED)
                self._journal.write("provisioned", **_added(device))
            return len(changed)

        return await self._durably(lambda done: self._store.provision(devices, done), in_force)

    def _require_free(self, device_id: str) -> None:
        """Sessions go by one id: a device must not have the client id of a ROMA device for its own."""
        if self._registry.roma.with_client_id(device_id) is not None:
            raise DeviceExists(f"device {device_id!r} of ROMA LINK")

    def _known(self, device_id: str) -> Device:
        device = self._registry.get(device_id)
        if device is None:
            raise UnknownDevice(device_id)
        return device

    async def change(
        self,
        write: Callable[[Callable[[list[R] | StoreError], None]], None],
        in_force: Callable[[R], T],
        otherwise: BrokerError,
    ) -> T:
        """Change one thing, durable before it is in force; raises StoreError, and `otherwise` if it met nothing."""
        return await self._durably(write, lambda changed: in_force(_only(changed, otherwise)))

    async def at_once(self, change: Callable[[], T]) -> T:
        """Change what needs no database; raises NotConfirmed."""
        return await self._durably(lambda committed: committed([]), lambda _: change())

    async def _durably(
        self, write: Callable[[Callable[[list[R] | StoreError], None]], None], in_force: Callable[[list[R]], T]
    ) -> T:
        """Have something written; run `in_force` in the very callback that reports the commit.

        A failure of ours in there reaches the loop's exception handler too: it is durable, and not in force.
        """
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def committed(outcome: list[R] | StoreError) -> None:
            try:
                if isinstance(outcome, StoreError):
                    self._statistics.store_errors += 1
                    raise outcome
                self.spread.run(lambda: in_force(outcome), answer)
            except Exception as error:
                if not answer.done():
                    answer.set_exception(error)
                if not isinstance(error, BrokerError):
                    raise

        write(committed)
        return await answer


def generated_secret() -> str:
    """Make a secret that fits every protocol: 32 hexadecimal digits."""
    return secrets.token_hex(16)


def _require_fit(secret: str, protocol: DeviceProtocol) -> None:
    problem = psk_error(secret) if protocol is DeviceProtocol.COAP else secret_error(secret)
    if problem:
        raise InvalidInput(problem)


def _only(changed: list[R], otherwise: BrokerError) -> R:
    if not changed:
        raise otherwise
    return changed[0]


def _added(device: Device) -> dict[str, object]:
    """What the journal says of a device that is new, or registered anew."""
    return {
        "device": device.device_id,
        "protocol": device.protocol,
        "primary": _public(device.primary),
        "secondary": device.secondary and _public(device.secondary),
    }


def _public(secret: Secret) -> dict[str, object]:
    return {"version": secret.version, "fingerprint": secret.fingerprint}
