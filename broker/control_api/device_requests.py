"""The bodies that create and update a device: a field may be left out or null, unknown fields are ignored."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from broker.auth.credentials import psk_error
from broker.auth.registry import DeviceChanges, DeviceProtocol, NewDevice
from broker.control_api.terms import Description, DeviceName, Identifier, NodeId, ProductId, SecretText, Timeout
from broker.errors import InvalidInput
from broker.rotation import generated_secret

LENIENT = ConfigDict(strict=True, hide_input_in_errors=True)


class AuthInfoWithoutSecret(BaseModel):
    model_config = LENIENT

    secure_access: bool | None = None
    timeout: Timeout | None = None


class AuthInfo(AuthInfoWithoutSecret):
    """`fingerprint`, a certificate's, is refused: who sent it would rely on it."""

    auth_type: Literal["SECRET"] | None = None
    secret: SecretText | None = Field(default=None, repr=False)
    fingerprint: None = None


class AddDevice(BaseModel):
    """`gateway_id` is refused: there are no devices behind devices here."""

    model_config = LENIENT

    node_id: NodeId
    product_id: ProductId
    device_id: Identifier | None = None
    device_name: DeviceName | None = None
    description: Description | None = None
    gateway_id: None = None
    auth_info: AuthInfo | None = None

    def device(self, protocol: DeviceProtocol | None) -> NewDevice:
        """Make the device of a product of this protocol; of a product that nobody told us of it is one of MQTT.

        Raises InvalidInput for a secret that does not fit the protocol.
        """
        auth_info = self.auth_info or AuthInfo()
        if protocol is DeviceProtocol.COAP and auth_info.secret and (problem := psk_error(auth_info.secret)):
            raise InvalidInput(f"auth_info.secret: {problem}")
        return NewDevice(
            device_id=self.device_id or f"{self.product_id}_{self.node_id}",
            node_id=self.node_id,
            product_id=self.product_id,
            protocol=protocol or DeviceProtocol.MQTT,
            primary=auth_info.secret or generated_secret(),
            secondary=None,
            secure_access=bool(auth_info.secure_access),
            device_name=self.device_name,
            description=self.description,
            timeout_s=auth_info.timeout or 0,
        )


class UpdateDevice(BaseModel):
    model_config = LENIENT

    device_name: DeviceName | None = None
    description: Description | None = None
    auth_info: AuthInfoWithoutSecret | None = None

    def changes(self) -> DeviceChanges:
        auth_info = self.auth_info or AuthInfoWithoutSecret()
        return DeviceChanges(self.device_name, self.description, auth_info.secure_access, auth_info.timeout)
