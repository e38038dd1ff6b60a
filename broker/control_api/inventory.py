"""The devices as the administration lists them: secrets by their fingerprints, or whole for who asks for them."""

from typing import Annotated, Any

from pydantic import BaseModel, WithJsonSchema

from broker.auth.registry import Device, DeviceProtocol, Secret, Slot
from broker.control_api.terms import IfKnown
from broker.errors import InvalidInput
from broker.lwm2m.registrations import Registration
from broker.sessions import Session

WantsSecrets = Annotated[str, WithJsonSchema({"type": "string", "enum": ["true", "false"]})]


class UsedSecret(BaseModel):
    slot: Slot
    secret_version: int


class UsedByRegistration(BaseModel):
    """`secret_version` is null for an NB-IoT device that registered in the clear."""

    secret_version: int | None


class ListedSecret(BaseModel):
    """`secret` is there for who asks for secrets."""

    version: int
    fingerprint: str
    secret: IfKnown[str]


class InventoryDevice(BaseModel):
    device_id: str
    product_id: str | None
    node_id: str
    protocol: DeviceProtocol
    secure_access: bool
    frozen: bool
    session: UsedSecret | None
    registration: UsedByRegistration | None
    primary: ListedSecret
    secondary: ListedSecret | None


class DeviceList(BaseModel):
    count: int
    devices: list[InventoryDevice]


def wants_secrets(written: str) -> bool:
    """Read the query's `secrets`; raises InvalidInput unless it says plainly what is wanted."""
    if written not in ("true", "false"):
        raise InvalidInput("secrets: expected true or false")
    return written == "true"


def listed(
    device: Device, session: Session | None, registration: Registration[Any] | None, *, secrets: bool
) -> dict[str, object]:
    """One device with its live session, or its registration; `secrets`: not only their fingerprints."""
    return {
        "device_id": device.device_id,
        "product_id": device.product_id,
        "node_id": device.node_id,
        "protocol": device.protocol,
        "secure_access": device.secure_access,
        "frozen": device.frozen,
        "session": {"slot": session.slot, "secret_version": session.version} if session else None,
        "registration": {"secret_version": registration.version} if registration else None,
        "primary": _listed_secret(device.primary, whole=secrets),
        "secondary": _listed_secret(device.secondary, whole=secrets) if device.secondary else None,
    }


def _listed_secret(secret: Secret, *, whole: bool) -> dict[str, object]:
    known: dict[str, object] = {"version": secret.version, "fingerprint": secret.fingerprint}
    return {**known, "secret": secret.value} if whole else known
