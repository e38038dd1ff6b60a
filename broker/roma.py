"""Every change of the products and devices of ROMA LINK, durable before it is in force."""

import secrets
import string
from collections.abc import Iterable

from broker.auth.plain_login import SPECIAL_CHARACTERS, LoginRules
from broker.auth.registry import Registry
from broker.auth.roma import Authentication, NewRomaDevice, Product, ProductFacts, RomaDevice, RomaDeviceChanges
from broker.errors import InvalidInput, ResourceInUse, UnknownResource
from broker.journal import Journal
from broker.rotation import Rotation
from broker.sessions import Ending, Sessions
from broker.statistics import Statistics
from broker.store.roma import RomaTables
from broker.stored import StoredStates

SCHEME = "roma"
SUFFIX_LENGTH = 6
PASSWORD_LENGTH = 20
PASSWORD_CLASSES = (string.digits, string.ascii_uppercase, string.ascii_lowercase, SPECIAL_CHARACTERS)
SHORTEST_FIRST_PASSWORD = 8
"""The vendor's page on creation takes shorter passwords than that on resets (api-roma/CreateDevice)."""


class RomaLink:
    """What `Rotation` is to the devices of IoTDA: registry, sessions and journal change in the commit's callback."""

    def __init__(
        self,
        registry: Registry,
        tables: RomaTables,
        rotation: Rotation,
        sessions: Sessions,
        stored: StoredStates,
        journal: Journal,
        statistics: Statistics,
        rules: LoginRules,
    ) -> None:
        self._registry = registry.roma
        self._tables = tables
        self._change = rotation.change
        self._at_once = rotation.at_once
        self._sessions = sessions
        self._stored = stored
        self._journal = journal
        self._statistics = statistics
        self._rules = rules

    async def create_product(self, facts: ProductFacts) -> Product:
        """Add a product with an authentication of its own. Raises InvalidInput when the name is taken, StoreError."""

        def in_force(product: Product) -> Product:
            self._registry.put_product(product)
            self._journal.write("product_created", product=product.id, **_public(product.authentication))
            return product

        taken = InvalidInput(f"name: product {facts.name!r} is there already")
        return await self._change(
            lambda done: self._tables.create_product(facts, generated_user_name(), generated_password(), done),
            in_force,
            taken,
        )

    async def delete_product(self, product_id: int) -> None:
        """Forget a product. Raises UnknownResource, ResourceInUse, StoreError."""
        self.product(product_id)

        def in_force(product: Product) -> None:
            self._registry.remove_product(product.id)
            self._journal.write("product_deleted", product=product.id)

        await self._change(
            lambda done: self._tables.delete_product(product_id, done),
            in_force,
            ResourceInUse(f"product {product_id} has devices"),
        )

    async def create_device(self, new: NewRomaDevice) -> RomaDevice:
        """Add a device. Raises UnknownResource for its product, InvalidInput, StoreError."""
        self.product(new.product_id)
        _require_fit(self._rules.user_name_error(new.user_name))
        _require_fit(self._rules.password_error(new.password, SHORTEST_FIRST_PASSWORD))
        suffix = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(SUFFIX_LENGTH))

        def in_force(device: RomaDevice) -> RomaDevice:
            self._registry.put(device)
            self._write("created", device, product=device.product_id, primary=_public(device.authentication))
            return device

        return await self._change(
            lambda done: self._tables.create_device(new, suffix, done),
            in_force,
            UnknownResource(new.product_id),
        )

    async def update_device(self, device_id: int, changes: RomaDeviceChanges) -> RomaDevice:
        """Change a device; disabling cuts its session and keeps it out. Raises UnknownResource, StoreError."""
        self.device(device_id)

        def in_force(device: RomaDevice) -> RomaDevice:
            was_disabled = self.device(device_id).disabled
            self._registry.put(device)
            self._write("updated", device, changed=changes.names())
            if device.disabled and not was_disabled:
                self._sessions.cut(device.client_id, Ending.FROZEN)
                self._write("frozen", device)
            elif was_disabled and not device.disabled:
                self._write("unfrozen", device)
            return device

        return await self._change(
            lambda done: self._tables.update_device(device_id, changes, done),
            in_force,
            UnknownResource(device_id),
        )

    async def delete_device(self, device_id: int) -> None:
        """Forget a device, its session and its stored state. Raises UnknownResource, StoreError."""
        self.device(device_id)

        def in_force(device: RomaDevice) -> None:
            self._registry.remove(device)
            self._stored.delete(device.client_id, self._sessions.get(device.client_id))
            self._sessions.cut(device.client_id, Ending.DELETED)
            self._sessions.presence.forget(device.client_id)
            self._write("deleted", device)

        await self._change(
            lambda done: self._tables.delete_device(device_id, done),
            in_force,
            UnknownResource(device_id),
        )

    async def reset_device(self, device_id: int, user_name: str, password: str, request_id: str) -> RomaDevice:
        """Change what is not empty, or generate a password when both are; a session lives on.

        Raises UnknownResource, InvalidInput, and StoreError with nothing changed.
        """
        self.device(device_id)
        generated, password = self._fit(user_name, password)

        def in_force(device: RomaDevice) -> RomaDevice:
            self._registry.put(device)
            self._statistics.resets += 1
            self._write(
                "reset",
                device,
                slot="primary",
                **_public(device.authentication),
                forced=False,
                cut=False,
                generated=generated,
                request_id=request_id,
            )
            return device

        return await self._change(
            lambda done: self._tables.reset_device(device_id, user_name or None, password or None, done),
            in_force,
            UnknownResource(device_id),
        )

    async def reset_product(self, product_id: int, user_name: str, password: str, request_id: str) -> Product:
        """The same for what all devices of a product may use; their sessions live on."""
        self.product(product_id)
        generated, password = self._fit(user_name, password)

        def in_force(product: Product) -> Product:
            self._registry.put_product(product)
            self._statistics.resets += 1
            public = _public(product.authentication)
            self._journal.write(
                "product_reset", product=product.id, **public, generated=generated, request_id=request_id
            )
            return product

        return await self._change(
            lambda done: self._tables.reset_product(product_id, user_name or None, password or None, done),
            in_force,
            UnknownResource(product_id),
        )

    async def force_offline(self, device_ids: Iterable[int], request_id: str) -> tuple[list[RomaDevice], list[int]]:
        """Cut the sessions of devices, which may come back at once; return the devices, and the ids of none."""
        found = {device_id: self._registry.get(device_id) for device_id in device_ids}
        devices = [device for device in found.values() if device is not None]

        def cut_all() -> None:
            for device in devices:
                cut = self._sessions.cut(device.client_id, Ending.FORCED_OFFLINE)
                self._write("forced_offline", device, cut=cut, request_id=request_id)

        await self._at_once(cut_all)
        self._journal.flush()
        return devices, [device_id for device_id, device in found.items() if device is None]

    def device(self, device_id: int) -> RomaDevice:
        """Raises UnknownResource."""
        device = self._registry.get(device_id)
        if device is None:
            raise UnknownResource(device_id)
        return device

    def product(self, product_id: int) -> Product:
        """Raises UnknownResource."""
        product = self._registry.product(product_id)
        if product is None:
            raise UnknownResource(product_id)
        return product

    def _fit(self, user_name: str, password: str) -> tuple[bool, str]:
        """Tell whether a password is to be generated, and return it; raises InvalidInput."""
        if not user_name and not password:
            return True, generated_password()
        _require_fit(self._rules.user_name_error(user_name) if user_name else None)
        _require_fit(self._rules.password_error(password) if password else None)
        return False, password

    def _write(self, kind: str, device: RomaDevice, **fields: object) -> None:
        self._journal.write(kind, device=device.client_id, scheme=SCHEME, id=device.id, **fields)


def generated_user_name() -> str:
    """Make a user name as the vendor does: 32 hexadecimal digits in upper case (api-roma/ListSubDevices)."""
    return secrets.token_hex(16).upper()


def generated_password() -> str:
    """Make a password that keeps the rules whatever they are set to."""
    characters = [secrets.choice(one) for one in PASSWORD_CLASSES]
    characters += [secrets.choice("".join(PASSWORD_CLASSES)) for _ in range(PASSWORD_LENGTH - len(characters))]
    secrets.SystemRandom().shuffle(characters)
    return "".join(characters)


def _require_fit(problem: str | None) -> None:
    if problem:
        raise InvalidInput(problem)


def _public(authentication: Authentication) -> dict[str, object]:
    return {"version": authentication.password.version, "fingerprint": authentication.password.fingerprint}
