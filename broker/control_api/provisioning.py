"""Bulk provisioning: one JSON object a line, all of them or none."""

from collections.abc import Callable

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from broker.auth.credentials import psk_error
from broker.auth.registry import DeviceProtocol, NewDevice
from broker.control_api.errors import parse
from broker.control_api.terms import Identifier, ProductId, SecretText
from broker.errors import InvalidInput

OF_NB_IOT: JsonDict = {
    "if": {"properties": {"protocol": {"const": "coap"}}, "required": ["protocol"]},
    "then": {"properties": {"primary": {"pattern": "^([0-9A-Fa-f]{2}){4,16}$"}}},
}
ProtocolOf = Callable[[str | None], DeviceProtocol | None]


class DeviceLine(BaseModel):
    """One line; `node_id` is by default the device id without its product, `protocol` that of the product."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True, json_schema_extra=OF_NB_IOT)

    device_id: Identifier
    product_id: ProductId | None = None
    node_id: Identifier | None = None
    protocol: DeviceProtocol | None = None
    primary: SecretText = Field(repr=False)
    secondary: SecretText | None = Field(default=None, repr=False)
    secure_access: bool = False


def parse_devices(body: bytes, protocol_of: ProtocolOf = lambda _: None) -> list[NewDevice]:
    """Read the lines, with what is known of their products.

    Raises InvalidInput with the number of the first bad line and what was expected there.
    """
    devices: list[NewDevice] = []
    line_of: dict[str, int] = {}
    for number, text in enumerate(body.split(b"\n"), 1):
        if not text.strip():
            continue
        try:
            line = parse(DeviceLine, text)
            device = _device(line, _protocol(line, protocol_of(line.product_id)))
        except InvalidInput as error:
            raise InvalidInput(f"line {number}: {error}") from None
        earlier = line_of.setdefault(device.device_id, number)
        if earlier != number:
            raise InvalidInput(f"line {number}: device_id: {device.device_id!r} is already on line {earlier}")
        devices.append(device)
    return devices


def _protocol(line: DeviceLine, known: DeviceProtocol | None) -> DeviceProtocol:
    if known and line.protocol not in (None, known):
        raise InvalidInput(f"protocol: expected that of product {line.product_id!r}, {known}")
    return known or line.protocol or DeviceProtocol.MQTT


def _device(line: DeviceLine, protocol: DeviceProtocol) -> NewDevice:
    if protocol is DeviceProtocol.COAP and (problem := psk_error(line.primary)):
        raise InvalidInput(f"primary: {problem}")
    return NewDevice(
        device_id=line.device_id,
        node_id=line.node_id or _default_node_id(line),
        product_id=line.product_id,
        protocol=protocol,
        primary=line.primary,
        secondary=line.secondary,
        secure_access=line.secure_access,
    )


def _default_node_id(line: DeviceLine) -> str:
    """The vendor composes a device id as `{product_id}_{node_id}`."""
    if line.product_id is None:
        return line.device_id
    return line.device_id.removeprefix(f"{line.product_id}_") or line.device_id
