"""A device as the vendor's API shows it: alone with its secrets, or in a list without.

What is not known of a device is left out. Two formats of time, as the vendor has them.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from broker.auth.registry import Device, DeviceProtocol
from broker.clock import Clock
from broker.control_api.terms import IfKnown, RecordId
from broker.lwm2m.registrations import Registrations
from broker.lwm2m.silence import ABNORMAL_AFTER_S, OFFLINE_AFTER_S
from broker.sessions import Sessions
from broker.vendor_time import to_the_millisecond, to_the_second

DIRECT = "GATEWAY"
"""The vendor's node type of every device that connects by itself."""

MillisecondTime = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$")]


class Status(StrEnum):
    ONLINE = "ONLINE"
    OFFLINE = "OFFLINE"
    ABNORMAL = "ABNORMAL"
    INACTIVE = "INACTIVE"
    FROZEN = "FROZEN"


ONLINE, OFFLINE, ABNORMAL, INACTIVE, FROZEN = Status
"""A list asks for one of each device, and Python 3.11 is slow to find a member."""


class ShownAuthInfo(BaseModel):
    auth_type: Literal["SECRET"]
    secret: str
    secondary_secret: IfKnown[str]
    secure_access: bool


class ChangedAuthInfo(ShownAuthInfo):
    timeout: int


class ListedDevice(BaseModel):
    device_id: str
    node_id: str
    gateway_id: str
    device_name: IfKnown[str]
    node_type: Literal["GATEWAY"]
    description: IfKnown[str]
    fw_version: IfKnown[str]
    sw_version: IfKnown[str]
    device_sdk_version: IfKnown[str]
    product_id: IfKnown[str]
    status: Status
    tags: Annotated[list[str], Field(max_length=0)]


class DeviceDetails(ListedDevice):
    create_time: Annotated[str, Field(pattern=r"^[0-9]{8}T[0-9]{6}Z$")]
    connection_status_update_time: IfKnown[MillisecondTime]
    active_time: IfKnown[MillisecondTime]


class ShownDevice(DeviceDetails):
    auth_info: ShownAuthInfo


class ChangedDevice(DeviceDetails):
    auth_info: ChangedAuthInfo


class Page(BaseModel):
    count: int
    marker: IfKnown[RecordId]


class DevicePage(BaseModel):
    devices: list[ListedDevice]
    page: Page


class Answers:
    """Puts together what the registry and the sessions know."""

    def __init__(self, sessions: Sessions, registrations: Registrations[Any], clock: Clock) -> None:
        self._sessions = sessions
        self._registrations = registrations
        self._clock = clock

    def status(self, device: Device) -> Status:
        """INACTIVE is a device that was never in."""
        if device.frozen:
            return FROZEN
        if device.protocol is DeviceProtocol.COAP:
            return self._status_by_silence(device.device_id)
        if device.device_id in self._sessions:
            return ONLINE
        return OFFLINE if self._sessions.presence.was_in(device.device_id) else INACTIVE

    def _status_by_silence(self, device_id: str) -> Status:
        """An NB-IoT device is not connected: what counts is when it was last heard, unless it has said goodbye."""
        silent_s = self._registrations.silence.of_s(device_id, self._clock.now())
        if silent_s is None:
            return OFFLINE if self._sessions.presence.was_in(device_id) else INACTIVE
        if silent_s > OFFLINE_AFTER_S:
            return OFFLINE
        return ABNORMAL if silent_s > ABNORMAL_AFTER_S else ONLINE

    def shown(self, device: Device) -> dict[str, object]:
        return {**self._details(device), "auth_info": _auth_info(device)}

    def changed(self, device: Device) -> dict[str, object]:
        """The answer to who made or changed a device: only it tells the timeout."""
        return {**self._details(device), "auth_info": {**_auth_info(device), "timeout": device.timeout_s}}

    def page(self, devices: Sequence[Device], count: int) -> dict[str, object]:
        """A page of a list of `count` devices; its marker is where the next page goes on."""
        page: dict[str, object] = {"count": count}
        if devices:
            page["marker"] = f"{devices[-1].record_id:024x}"
        return {"devices": [self._summary(one) for one in devices], "page": page}

    def _summary(self, device: Device) -> dict[str, object]:
        versions = self._sessions.presence.versions(device.device_id)
        return _known(
            device_id=device.device_id,
            node_id=device.node_id,
            gateway_id=device.device_id,
            device_name=device.device_name,
            node_type=DIRECT,
            description=device.description,
            fw_version=versions.fw_version,
            sw_version=versions.sw_version,
            device_sdk_version=versions.device_sdk_version,
            product_id=device.product_id,
            status=self.status(device),
            tags=[],
        )

    def _details(self, device: Device) -> dict[str, object]:
        presence, session = self._sessions.presence, self._sessions.get(device.device_id)
        changed_at = session.connected_at if session else presence.left_at(device.device_id)
        activated_at = presence.activated_at(device.device_id)
        return _known(
            **self._summary(device),
            create_time=to_the_second(device.created_at),
            connection_status_update_time=changed_at and to_the_millisecond(changed_at),
            active_time=activated_at and to_the_millisecond(activated_at),
        )


def _auth_info(device: Device) -> dict[str, object]:
    return _known(
        auth_type="SECRET",
        secret=device.primary.value,
        secondary_secret=device.secondary and device.secondary.value,
        secure_access=device.secure_access,
    )


def _known(**fields: object) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}
