"""The devices and products of ROMA LINK, which log in with a user name and a password as they are.

A device has an authentication of its own and may as well use its product's: one secret a device, or one a model.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields

from broker.auth.secret import Secret, Slot


@dataclass(frozen=True, slots=True)
class Authentication:
    """What lets a device in; the password's version counts the resets of either."""

    user_name: str
    password: Secret


@dataclass(frozen=True, slots=True)
class ProductFacts:
    """What the creator of a product says of it; of all this only name, manufacturer and model mean anything here."""

    name: str
    app_id: str
    manufacturer_id: str
    manufacturer_name: str
    model: str
    product_type: int
    protocol_type: int
    description: str | None = None
    device_type: str | None = None
    version: str | None = None
    data_format: int | None = None


@dataclass(frozen=True, slots=True)
class Product:
    id: int
    facts: ProductFacts
    authentication: Authentication
    created_ms: int


@dataclass(frozen=True, slots=True)
class RomaDevice:
    """One device; `client_id` is what it connects as, and its key wherever an IoTDA device has its device id."""

    id: int
    client_id: str
    product_id: int
    device_name: str
    node_id: str
    app_id: str
    description: str | None
    disabled: bool
    created_ms: int
    authentication: Authentication

    @property
    def device_id(self) -> str:
        return self.client_id


@dataclass(frozen=True, slots=True)
class NewRomaDevice:
    product_id: int
    device_name: str
    node_id: str
    app_id: str
    description: str | None
    disabled: bool
    user_name: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RomaDeviceChanges:
    """What is to be different about a device; None leaves it as it is."""

    device_name: str | None = None
    description: str | None = None
    disabled: bool | None = None

    def names(self) -> list[str]:
        return [one.name for one in fields(self) if getattr(self, one.name) is not None]


class RomaRegistry:
    """Devices and products by id, in memory; every device's product is there."""

    def __init__(self, products: Iterable[Product] = (), devices: Iterable[RomaDevice] = ()) -> None:
        self._products = {one.id: one for one in products}
        self._devices = {one.id: one for one in devices}
        self._ids = {one.client_id: one.id for one in self._devices.values()}

    def __len__(self) -> int:
        return len(self._devices)

    def __iter__(self) -> Iterator[RomaDevice]:
        return iter(self._devices.values())

    def newest_first(self) -> Iterator[RomaDevice]:
        return reversed(self._devices.values())

    def get(self, device_id: int) -> RomaDevice | None:
        return self._devices.get(device_id)

    def with_client_id(self, client_id: str) -> RomaDevice | None:
        found = self._ids.get(client_id)
        return None if found is None else self._devices[found]

    @property
    def products(self) -> list[Product]:
        return list(self._products.values())

    def product(self, product_id: int) -> Product | None:
        return self._products.get(product_id)

    def product_of_model(self, manufacturer_id: str, model: str) -> Product | None:
        """Return the newest product of this manufacturer and model."""
        wanted = (manufacturer_id, model)
        newest_first = reversed(self._products.values())
        return next((one for one in newest_first if (one.facts.manufacturer_id, one.facts.model) == wanted), None)

    def logins(self, device: RomaDevice) -> tuple[tuple[Slot, Authentication], ...]:
        """Return what lets a device in, all of it of equal validity."""
        product = self._products[device.product_id]
        return (Slot.PRIMARY, device.authentication), (Slot.PRODUCT, product.authentication)

    def is_current(self, client_id: str, slot: Slot, version: int) -> bool:
        """Tell whether a CONNECT that matched this version then would match it now."""
        device = self.with_client_id(client_id)
        return device is not None and any(
            (slot, version) == (one, authentication.password.version) for one, authentication in self.logins(device)
        )

    def put(self, device: RomaDevice) -> None:
        self._devices[device.id] = device
        self._ids[device.client_id] = device.id

    def remove(self, device: RomaDevice) -> None:
        del self._devices[device.id]
        del self._ids[device.client_id]

    def put_product(self, product: Product) -> None:
        self._products[product.id] = product

    def remove_product(self, product_id: int) -> None:
        del self._products[product_id]
