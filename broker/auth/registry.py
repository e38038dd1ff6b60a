"""The devices that the platform knows: each with two secret slots, and each secret with its version."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum

from broker.auth.roma import RomaRegistry
from broker.auth.secret import Secret as Secret
from broker.auth.secret import Slot as Slot

RECORD_BITS = 31
"""A record id has the second of its creation above so many bits, and below them a count: it orders by age."""


def record_id_from(utc: datetime) -> int:
    """Return the least record id of the devices that are added from this second on."""
    return int(utc.timestamp()) << RECORD_BITS


class DeviceProtocol(StrEnum):
    MQTT = "mqtt"
    COAP = "coap"


@dataclass(frozen=True, slots=True)
class Device:
    """One registered device; `secure_access` allows it on encrypted ports only, `record_id` is its place by age."""

    device_id: str
    node_id: str
    product_id: str | None
    protocol: DeviceProtocol
    primary: Secret
    secondary: Secret | None
    frozen: bool = False
    secure_access: bool = False
    record_id: int = 0
    device_name: str | None = None
    description: str | None = None
    timeout_s: int = 0

    @property
    def created_at(self) -> datetime:
        return datetime.fromtimestamp(self.record_id >> RECORD_BITS, UTC)

    def secret(self, slot: Slot) -> Secret | None:
        match slot:
            case Slot.PRIMARY:
                return self.primary
            case Slot.SECONDARY:
                return self.secondary
        return None


@dataclass(frozen=True, slots=True)
class NewDevice:
    """A device to add; `timeout_s` is what it has to connect for the first time, 0 = for ever."""

    device_id: str
    node_id: str
    product_id: str | None
    protocol: DeviceProtocol
    primary: str = field(repr=False)
    secondary: str | None = field(repr=False)
    secure_access: bool = False
    device_name: str | None = None
    description: str | None = None
    timeout_s: int = 0


@dataclass(frozen=True, slots=True)
class DeviceChanges:
    """What is to be different about a device; None leaves it as it is."""

    device_name: str | None = None
    description: str | None = None
    secure_access: bool | None = None
    timeout_s: int | None = None

    def names(self) -> list[str]:
        return [one.name for one in fields(self) if getattr(self, one.name) is not None]


@dataclass(frozen=True, slots=True)
class Product:
    """What its devices have in common; a product that nobody told us of is one of MQTT."""

    product_id: str
    protocol: DeviceProtocol


class Registry:
    """Devices by id and by node id, and products, in memory; `put` and `remove` follow every durable change.

    The devices of ROMA LINK are in `roma` alone: no IoTDA call ever meets one.
    """

    def __init__(
        self, devices: Iterable[Device] = (), products: Iterable[Product] = (), roma: RomaRegistry | None = None
    ) -> None:
        self.roma = RomaRegistry() if roma is None else roma
        self._products = {one.product_id: one for one in products}
        self._devices: dict[str, Device] = {}
        self._ids_by_node: dict[str, tuple[str, ...]] = {}
        for device in devices:
            self.put(device)

    def __len__(self) -> int:
        return len(self._devices)

    def __iter__(self) -> Iterator[Device]:
        return iter(self._devices.values())

    def newest_first(self) -> Iterator[Device]:
        """The last added first: by falling record id, because devices are added in that order."""
        return reversed(self._devices.values())

    def get(self, device_id: str) -> Device | None:
        return self._devices.get(device_id)

    def with_node_id(self, node_id: str) -> tuple[Device, ...]:
        """Return every device of this node id: it is unique within a product only."""
        return tuple(self._devices[device_id] for device_id in self._ids_by_node.get(node_id, ()))

    @property
    def products(self) -> list[Product]:
        """The products that we were told of, by their ids."""
        return sorted(self._products.values(), key=lambda one: one.product_id)

    def protocol_of(self, product_id: str | None) -> DeviceProtocol | None:
        """Return the protocol of a product that we were told of."""
        product = None if product_id is None else self._products.get(product_id)
        return None if product is None else product.protocol

    def put_product(self, product: Product) -> None:
        self._products[product.product_id] = product

    def is_current(self, device_id: str, slot: Slot, version: int) -> bool:
        """Tell whether a CONNECT that matched this version then would match it now."""
        device = self._devices.get(device_id)
        if device is None:
            return self.roma.is_current(device_id, slot, version)
        secret = device.secret(slot)
        return secret is not None and secret.version == version

    def put(self, device: Device) -> None:
        """Add the device or replace the one of the same id."""
        known = self._devices.get(device.device_id)
        self._devices[device.device_id] = device
        if known is None or known.node_id != device.node_id:
            if known is not None:
                self._forget_node(known)
            others = self._ids_by_node.get(device.node_id, ())
            self._ids_by_node[device.node_id] = (*others, device.device_id)

    def remove(self, device_id: str) -> None:
        """Forget a device, if it is known."""
        known = self._devices.pop(device_id, None)
        if known is not None:
            self._forget_node(known)

    def _forget_node(self, known: Device) -> None:
        left = tuple(one for one in self._ids_by_node[known.node_id] if one != known.device_id)
        if left:
            self._ids_by_node[known.node_id] = left
        else:
            del self._ids_by_node[known.node_id]
