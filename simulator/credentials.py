"""From a device's secret to what it puts on the wire.

The platform has an independent twin of this on purpose: a bug shared by both sides would cancel itself out. Golden
vectors judge both.
"""

import hashlib
import hmac
import re
from dataclasses import field
from datetime import datetime

from wire.record import record

PSK = re.compile(r"([0-9A-Fa-f]{2}){4,16}")


@record
class MqttCredentials:
    """The three credential fields of a CONNECT."""

    client_id: str
    username: str
    password: str = field(repr=False)


@record
class EndpointCredentials:
    """What an LwM2M device registers with: its endpoint name, and the key that it proves; None in the clear."""

    endpoint: str
    key: bytes | None = field(repr=False)


def psk(secret: str) -> bytes:
    """The pre-shared key of an NB-IoT device: the bytes that its secret is the hex of.

    ValueError for a secret that is none; it is not in the error. The vendor takes 8 to 32 hexadecimal digits
    (support.huaweicloud.com, api-iothub/iot_06_v5_0093), and an odd number of them makes no bytes.
    """
    if not is_psk(secret):
        raise ValueError("expected 8 to 32 hexadecimal digits, and an even number of them")
    return bytes.fromhex(secret)


def is_psk(secret: str) -> bool:
    """Tell whether a secret can be an NB-IoT device's."""
    return PSK.fullmatch(secret) is not None


def iotda_credentials(device_id: str, secret: str, utc: datetime, *, sign: int = 0) -> MqttCredentials:
    """Sign in the way of Huawei Cloud IoTDA (support.huaweicloud.com, api-iothub/iot_06_v5_3009).

    The password is HMAC-SHA256 with the hour `YYYYMMDDHH` of `utc` as the key and the secret as the message. The
    client id carries the sign digit and the hour: 1 asks the platform to check the hour, 0 does not.
    """
    hour = utc.isoformat(timespec="hours")[:13].replace("-", "").replace("T", "")  # strftime takes five times as long
    password = hmac.digest(hour.encode(), secret.encode(), "sha256").hex()
    return MqttCredentials(f"{device_id}_0_{sign}_{hour}", device_id, password)


def fingerprint(secret: str) -> str:
    """What may be shown of a secret: the first 8 hex digits of its SHA-256."""
    return hashlib.sha256(secret.encode()).hexdigest()[:8]
