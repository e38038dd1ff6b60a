"""Which device it is that registers or shakes hands, and whether it may."""

from broker.auth.registry import Device, DeviceProtocol, Registry
from broker.lwm2m.registrations import Reason


class Admission:
    """Finds devices by their endpoint names, which are their node ids, and judges them by the registry as it is now."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def device(self, endpoint: str) -> Device | Reason:
        """Return the CoAP device of this node id; it is to be unique among them."""
        found = [one for one in self._registry.with_node_id(endpoint) if one.protocol is DeviceProtocol.COAP]
        if len(found) == 1:
            return found[0]
        return Reason.AMBIGUOUS_NODE_ID if found else Reason.UNKNOWN_DEVICE

    def key_of(self, identity: bytes) -> bytes | None:
        """Return the pre-shared key of a DTLS identity: the bytes that the device's primary secret is the hex of."""
        device = self.device(identity.decode("ascii", "replace"))
        return _key(device) if isinstance(device, Device) else None

    def version_of(self, identity: bytes, key: bytes | None) -> int | None:
        """Return the version of the primary secret if this key is it; a key that is no longer in force is none."""
        device = self.device(identity.decode("ascii", "replace"))
        if key is not None and isinstance(device, Device) and _key(device) == key:
            return device.primary.version
        return None

    def judge(self, endpoint: str, identity: bytes | None) -> Device | Reason:
        """Judge a registration; `identity` is what the peer's handshake has proved, None in the clear."""
        if identity is not None and endpoint.encode() != identity:
            return Reason.ENDPOINT_MISMATCH
        device = self.device(endpoint)
        if isinstance(device, Reason):
            return device
        if device.frozen:
            return Reason.FROZEN
        if device.secure_access and identity is None:
            return Reason.SECURE_ACCESS_REQUIRED
        return device

    def judge_again(self, device_id: str, identity: bytes | None, *, was_secure: bool) -> Device | Reason:
        """Judge who wants to change a registration: it is to be who registered, and as well proved as then."""
        device = self._registry.get(device_id)
        if device is None:
            return Reason.UNKNOWN_DEVICE
        if was_secure and identity is None:
            return Reason.ENDPOINT_MISMATCH
        return self.judge(device.node_id, identity)


def _key(device: Device) -> bytes | None:
    """The key of a device; none if its secret was stored before it had to be hexadecimal."""
    try:
        return bytes.fromhex(device.primary.value)
    except ValueError:
        return None
