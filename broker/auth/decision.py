"""The verdict over one CONNECT: which slot and version let the device in, or the true reason why not.

The order is fixed: client id syntax, keepalive, device known, user name, hour, password (primary, then secondary,
of equal validity), frozen, port. A device of ROMA LINK goes the same way with its user name and password as they are:
its own, then its product's. What the client is told is coarser than the reason: an unknown device, a wrong password
and a stale hour are all return code 4.
"""

import hmac
from dataclasses import field
from datetime import datetime, timedelta
from enum import StrEnum

from broker.auth.credentials import ClientId, Sign, parse_client_id, password
from broker.auth.plain_login import is_client_id
from broker.auth.registry import Device, DeviceProtocol, Registry, Slot
from broker.auth.roma import RomaDevice, RomaRegistry
from wire.record import record

BAD_CLIENT_ID, BAD_CREDENTIALS, NOT_AUTHORISED = 2, 4, 5


class Reason(StrEnum):
    """Why a CONNECT was refused, as the journal says it."""

    UNSUPPORTED_VERSION = "unsupported_version"
    CLIENT_ID_SYNTAX = "client_id_syntax"
    SIGN_NOT_SUPPORTED = "sign_not_supported"
    KEEPALIVE_OUT_OF_RANGE = "keepalive_out_of_range"
    UNKNOWN_DEVICE = "unknown_device"
    AMBIGUOUS_NODE_ID = "ambiguous_node_id"
    USER_NAME_MISMATCH = "user_name_mismatch"
    STALE_HOUR = "stale_hour"
    WRONG_PASSWORD = "wrong_password"
    FROZEN = "frozen"
    SECURE_ACCESS_REQUIRED = "secure_access_required"
    NOT_AN_MQTT_DEVICE = "not_an_mqtt_device"
    AUTHENTICATION_METHOD = "authentication_method"
    WILL_NOT_SUPPORTED = "will_not_supported"
    PACKET_SIZE_TOO_SMALL = "packet_size_too_small"
    ENGINE_UNAVAILABLE = "engine_unavailable"
    ENGINE_REFUSED = "engine_refused"
    ENGINE_LACKS_VERSION = "engine_lacks_version"
    PROCESS_UNRESPONSIVE = "process_unresponsive"
    INTERNAL_ERROR = "internal_error"
    MALFORMED_CALL = "malformed_call"
    UNKNOWN_CALLER = "unknown_caller"


@record
class ConnectRequest:
    """What a CONNECT says; `secure` tells whether it came over an encrypted port.

    A keep alive of None is one that we are not told, and do not judge.
    """

    client_id: str
    username: str | None
    password: bytes | None = field(repr=False)
    keepalive: int | None
    secure: bool = False


@record
class Policy:
    """The bounds of a decision, both ends included."""

    sign_window_hours: tuple[int, int] = (-1, 1)
    keepalive_range_s: tuple[int, int] = (30, 1200)

    def allows(self, keepalive: int | None) -> bool:
        if keepalive is None:
            return True
        shortest, longest = self.keepalive_range_s
        return shortest <= keepalive <= longest


@record
class Accepted:
    device_id: str
    slot: Slot
    version: int


@record
class Refused:
    """`code` is the CONNACK return code of 3.1.1, or a reason code that only MQTT 5 has.

    `claimed` is the device id (or node id) that the client gave, if any. `secret_was_right` tells, for a stale hour
    only, whether the password proved a secret in that hour.
    """

    code: int
    reason: Reason
    claimed: str | None = None
    secret_was_right: bool | None = None


def decide(registry: Registry, request: ConnectRequest, utc: datetime, policy: Policy) -> Accepted | Refused:
    """Judge a CONNECT against the registry as it is now."""
    identity = parse_client_id(request.client_id)
    if identity is None:
        return _decide_plain(registry.roma, request, policy)
    if identity.sign is Sign.HMAC_SM3:
        return Refused(BAD_CLIENT_ID, Reason.SIGN_NOT_SUPPORTED, identity.name)
    if not policy.allows(request.keepalive):
        return Refused(BAD_CLIENT_ID, Reason.KEEPALIVE_OUT_OF_RANGE, identity.name)
    device = _find(registry, identity)
    if not isinstance(device, Device):
        return Refused(BAD_CREDENTIALS, device, identity.name)
    return _judge(device, identity, request, utc, policy)


def device_of(registry: Registry, client_id: str) -> str | None:
    """Return the id of the device that a client id is of, whoever presents it; None if it is no device's."""
    identity = parse_client_id(client_id)
    if identity is None:
        return client_id if registry.roma.with_client_id(client_id) is not None else None
    device = _find(registry, identity)
    return device.device_id if isinstance(device, Device) else None


def _decide_plain(registry: RomaRegistry, request: ConnectRequest, policy: Policy) -> Accepted | Refused:
    if not is_client_id(request.client_id):
        return Refused(BAD_CLIENT_ID, Reason.CLIENT_ID_SYNTAX)
    if not policy.allows(request.keepalive):
        return Refused(BAD_CLIENT_ID, Reason.KEEPALIVE_OUT_OF_RANGE, request.client_id)
    device = registry.with_client_id(request.client_id)
    if device is None:
        return Refused(BAD_CREDENTIALS, Reason.UNKNOWN_DEVICE, request.client_id)
    return _judge_plain(registry, device, request)


def _judge_plain(registry: RomaRegistry, device: RomaDevice, request: ConnectRequest) -> Accepted | Refused:
    named = [(slot, one.password) for slot, one in registry.logins(device) if one.user_name == request.username]
    if not named:
        return Refused(BAD_CREDENTIALS, Reason.USER_NAME_MISMATCH, device.client_id)
    presented = request.password or b""
    proved = [(slot, one) for slot, one in named if hmac.compare_digest(one.value.encode(), presented)]
    if not proved:
        return Refused(BAD_CREDENTIALS, Reason.WRONG_PASSWORD, device.client_id)
    if device.disabled:
        return Refused(NOT_AUTHORISED, Reason.FROZEN, device.client_id)
    slot, secret = proved[0]
    return Accepted(device.client_id, slot, secret.version)


def _find(registry: Registry, identity: ClientId) -> Device | Reason:
    if not identity.is_node_id:
        return registry.get(identity.name) or Reason.UNKNOWN_DEVICE
    match registry.with_node_id(identity.name):
        case ():
            return Reason.UNKNOWN_DEVICE
        case (device,):
            return device
    return Reason.AMBIGUOUS_NODE_ID


def _judge(
    device: Device, identity: ClientId, request: ConnectRequest, utc: datetime, policy: Policy
) -> Accepted | Refused:
    if request.username != identity.name:
        return Refused(BAD_CREDENTIALS, Reason.USER_NAME_MISMATCH, device.device_id)
    accepted = _match(device, identity.hour, request.password or b"")
    if identity.sign is Sign.HMAC_SHA256_CHECKED_HOUR and not _in_window(identity.hour, utc, policy):
        return Refused(BAD_CREDENTIALS, Reason.STALE_HOUR, device.device_id, secret_was_right=accepted is not None)
    if accepted is None:
        return Refused(BAD_CREDENTIALS, Reason.WRONG_PASSWORD, device.device_id)
    if device.frozen:
        return Refused(NOT_AUTHORISED, Reason.FROZEN, device.device_id)
    if device.secure_access and not request.secure:
        return Refused(NOT_AUTHORISED, Reason.SECURE_ACCESS_REQUIRED, device.device_id)
    if device.protocol is not DeviceProtocol.MQTT:
        return Refused(NOT_AUTHORISED, Reason.NOT_AN_MQTT_DEVICE, device.device_id)
    return accepted


def _in_window(hour: str, utc: datetime, policy: Policy) -> bool:
    earliest, latest = policy.sign_window_hours
    return any(hour == (utc + timedelta(hours=offset)).strftime("%Y%m%d%H") for offset in range(earliest, latest + 1))


def _match(device: Device, hour: str, presented: bytes) -> Accepted | None:
    for slot in _usable_slots(device):
        secret = device.secret(slot)
        if secret and hmac.compare_digest(password(secret.value, hour).encode(), presented):
            return Accepted(device.device_id, slot, secret.version)
    return None


def _usable_slots(device: Device) -> tuple[Slot, ...]:
    """The secondary secret is not effective on CoAP devices."""
    return (Slot.PRIMARY,) if device.protocol is DeviceProtocol.COAP else (Slot.PRIMARY, Slot.SECONDARY)
