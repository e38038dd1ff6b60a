"""What a device says and is told above MQTT: topics and payloads of the vendor's device API. Pure.

Source: support.huaweicloud.com, api-iothub/iot_06_v5_3004 (topics), _3010 (events), _3008 (commands). The key `seq`,
at the top of every uplink and among a command's parameters, is ours: it numbers messages so that the books can balance.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from simulator.device.keyring import Slot

SET_SECRET = "set_secret"
LONGEST_NAME = 128
_SLOTS = {slot.value: slot for slot in Slot}

Body = dict[str, Any]


def system_topic(device_id: str, suffix: str) -> str:
    return f"$oc/devices/{device_id}/sys/{suffix}"


def connect_event(device_id: str, utc: datetime) -> Body:
    """What the vendor's SDKs publish on `events/up` after every accepted connect."""
    paras = {"timestamp": str(int(utc.timestamp() * 1000)), "type": "DEVICE_STATUS", "content": "connect complete"}
    event = {
        "service_id": "$log",
        "event_type": "log_report",
        "event_time": _compact(utc),
        "paras": paras,
    }
    return {"object_device_id": device_id, "services": [event]}


def _compact(utc: datetime) -> str:
    """YYYYMMDDTHHMMSSZ; strftime takes five times as long."""
    return utc.isoformat(timespec="seconds").replace("-", "").replace(":", "")[:15] + "Z"


def telemetry(properties: Body) -> Body:
    """A report for `properties/report`."""
    return {"services": [{"service_id": "keyturn", "properties": properties}]}


@dataclass(frozen=True, slots=True)
class Command:
    """A command as the device understood it; `slot` and `secret` are those of a `set_secret`."""

    name: str
    result_code: int = 0
    seq: int | None = None
    slot: Slot | None = None
    secret: str | None = field(default=None, repr=False)

    @property
    def response(self) -> Body:
        return {
            "result_code": self.result_code,
            "response_name": f"{self.name}_response",
            "paras": {"seq": self.seq},
        }


NONSENSE = Command("unknown", result_code=1)


def set_secret_message(device_id: str, paras: Body) -> tuple[str, bytes]:
    """Topic and payload of a `set_secret` that nobody waits for; `seq` numbers it for the platform's journal too."""
    body = {"command_name": SET_SECRET, "service_id": "keyturn", "paras": paras, "seq": paras["seq"]}
    return system_topic(device_id, f"commands/request_id=message-{paras['seq']}"), orjson.dumps(body)


def read_command(payload: bytes) -> Command:
    """Understand a command; one that makes no sense has result code 1."""
    try:
        body = orjson.loads(payload)
        return command_of(body["command_name"], body.get("paras"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return NONSENSE


def command_of(name: object, paras: object) -> Command:
    """Understand a command's name and parameters; what makes no sense has result code 1."""
    paras = paras or {}
    if not (isinstance(name, str) and len(name) <= LONGEST_NAME and isinstance(paras, dict)):
        return NONSENSE
    seq = paras.get("seq")
    seq = seq if type(seq) is int else None  # what is echoed must fit wherever it came through
    if name != SET_SECRET:
        return Command(name, seq=seq)
    slot, secret = _SLOTS.get(str(paras.get("secret_type")).lower()), paras.get("secret")
    if slot is None or not isinstance(secret, str):
        return NONSENSE
    return Command(name, seq=seq, slot=slot, secret=secret)


def ranges(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Fold ascending numbers into (first, last) ranges without gaps."""
    first = last = None
    for number in numbers:
        if last is not None and number == last + 1:
            last = number
            continue
        if first is not None and last is not None:
            yield first, last
        first = last = number
    if first is not None and last is not None:
        yield first, last
