"""What ROMA LINK's calls take and answer; a field may be left out or null, unknown fields are ignored."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from broker.auth.roma import NewRomaDevice, ProductFacts, RomaDeviceChanges
from broker.control_api.device_requests import LENIENT
from broker.control_api.terms import (
    WHOLE,
    Oid,
    Password,
    ProductName,
    Remark,
    RomaDeviceName,
    RomaNodeId,
    ShortText,
    UserName,
)
from broker.roma import generated_password, generated_user_name

Status = Annotated[int, Field(ge=0, le=1, description="0 enabled, 1 disabled"), WHOLE]
ProductType = Annotated[int, Field(ge=0, le=1, description="0 common, 1 gateway"), WHOLE]
ProtocolType = Annotated[int, Field(ge=0, le=0, description="0 MQTT, the only one that is offered"), WHOLE]
DataFormat = Annotated[int, Field(ge=0, le=1, description="0 JSON, 1 user-defined"), WHOLE]


class ResetAuthentication(BaseModel):
    """An empty field leaves what it names as it is; both empty: a password is generated."""

    model_config = LENIENT

    user_name: UserName | None = None
    password: Password | None = Field(default=None, repr=False)


BY_ID_OR_BY_MODEL: JsonDict = {
    "anyOf": [
        {"required": ["product_id"], "properties": {"product_id": {"type": "number"}}},
        {
            "required": ["manufacturer_id", "model"],
            "properties": {"manufacturer_id": {"type": "string"}, "model": {"type": "string"}},
        },
    ]
}


class ProductReference(BaseModel):
    """`product_id`, or else `manufacturer_id` and `model`."""

    model_config = LENIENT | ConfigDict(json_schema_extra=BY_ID_OR_BY_MODEL)

    product_id: Oid | None = None
    manufacturer_id: ShortText | None = None
    model: ShortText | None = None


class CreateDevice(BaseModel):
    """`parent_device_id` is refused: there are no devices behind devices here."""

    model_config = LENIENT

    product: ProductReference
    device_name: RomaDeviceName
    node_id: RomaNodeId
    app_id: ShortText
    user_name: UserName | None = None
    password: Password | None = Field(default=None, repr=False)
    status: Status | None = None
    description: Remark | None = None
    parent_device_id: None = None

    def device(self, product_id: int) -> NewRomaDevice:
        return NewRomaDevice(
            product_id=product_id,
            device_name=self.device_name,
            node_id=self.node_id,
            app_id=self.app_id,
            description=self.description,
            disabled=bool(self.status),
            user_name=self.user_name or generated_user_name(),
            password=self.password or generated_password(),
        )


class UpdateDevice(BaseModel):
    model_config = LENIENT

    device_name: RomaDeviceName | None = None
    description: Remark | None = None
    status: Status | None = None

    def changes(self) -> RomaDeviceChanges:
        return RomaDeviceChanges(self.device_name, self.description, None if self.status is None else bool(self.status))


class ForceOffline(BaseModel):
    model_config = LENIENT

    device_ids: list[Oid]


class CreateProduct(BaseModel):
    model_config = LENIENT

    name: ProductName
    app_id: ShortText
    manufacturer_id: ShortText
    manufacturer_name: ShortText
    model: ShortText
    product_type: ProductType
    protocol_type: ProtocolType
    description: Remark | None = None
    device_type: ShortText | None = None
    version: ShortText | None = None
    data_format: DataFormat | None = None

    def facts(self) -> ProductFacts:
        return ProductFacts(**self.model_dump())


class AuthenticationAnswer(BaseModel):
    user_name: str
    password: str = Field(repr=False)


class ProductAnswer(BaseModel):
    """A product; `created_datetime` in milliseconds."""

    id: int
    app_id: str
    name: str
    manufacturer_id: str
    manufacturer_name: str
    model: str
    product_type: int
    protocol_type: int
    description: str | None = None
    device_type: str | None = None
    version: str | None = None
    data_format: int | None = None
    created_datetime: int
    authentication: AuthenticationAnswer


class ProductReferenceAnswer(BaseModel):
    product_id: int
    product_name: str
    manufacturer_id: str
    model: str
    protocol_type: int
    product_type: int


class DeviceAnswer(BaseModel):
    """A device; `online_status` is 0 never, 1 online, 2 offline, times are in milliseconds."""

    id: int
    device_id: int
    product: ProductReferenceAnswer
    device_name: str
    instance_id: str
    client_id: str
    node_id: str
    app_id: str
    status: Status
    online_status: Literal[0, 1, 2]
    description: str | None = None
    authentication: AuthenticationAnswer
    tags: list[str]
    created_datetime: int
    last_login_datetime: int | None = None
    connect_address: str
    node_type: int
    device_type: int


class DevicePage(BaseModel):
    total: int
    size: int
    items: list[DeviceAnswer]


class DeviceInfo(BaseModel):
    id: int
    device_id: int
    device_name: str | None = None


class ForceOfflineAnswer(BaseModel):
    success: list[DeviceInfo]
    failed: list[DeviceInfo]
