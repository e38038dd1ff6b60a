"""Bulk provisioning: one JSON object a line, all of them or none."""

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


class DeviceLine(BaseModel):
    """One line; `node_id` is by default the device id without its product."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True, json_schema_extra=OF_NB_IOT)

    device_id: Identifier
    product_id: ProductId | None = None
    node_id: Identifier | None = None
    protocol: DeviceProtocol = DeviceProtocol.MQTT
    primary: SecretText = Field(repr=False)
    secondary: SecretText | None = Field(default=None, repr=False)
    secure_access: bool = False


def parse_devices(body: bytes) -> list[NewDevice]:
    """Read the lines; raises InvalidInput with the number of the first bad one and what was expected there."""
    devices: list[NewDevice] = []
    line_of: dict[str, int] = {}
    for number, text in enumerate(body.split(b"\n"), 1):
        if not text.strip():
            continue
        try:
            device = _device(parse(DeviceLine, text))
        except InvalidInput as error:
            raise InvalidInput(f"line {number}: {error}") from None
        earlier = line_of.setdefault(device.device_id, number)
        if earlier != number:
            raise InvalidInput(f"line {number}: device_id: {device.device_id!r} is already on line {earlier}")
        devices.append(device)
    return devices


def _device(line: DeviceLine) -> NewDevice:
    if line.protocol is DeviceProtocol.COAP and (problem := psk_error(line.primary)):
        raise InvalidInput(f"primary: {problem}")
    return NewDevice(
        device_id=line.device_id,
        node_id=line.node_id or _default_node_id(line),
        product_id=line.product_id,
        protocol=line.protocol,
        primary=line.primary,
        secondary=line.secondary,
        secure_access=line.secure_access,
    )


def _default_node_id(line: DeviceLine) -> str:
    """The vendor composes a device id as `{product_id}_{node_id}`."""
    if line.product_id is None:
        return line.device_id
    return line.device_id.removeprefix(f"{line.product_id}_") or line.device_id
