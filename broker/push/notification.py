"""A change of a device's status, and the body that tells a receiver of it.

The body is the vendor's (iot_06_v5_01201): its times are in two formats, and it names no reason.
"""

from datetime import datetime
from enum import StrEnum

import orjson

from broker.vendor_time import to_the_millisecond, to_the_second
from wire.record import record

RESOURCE, EVENT = "device.status", "update"
APP_ID = "default"
"""The resource space of every device: there is one."""


class PushedStatus(StrEnum):
    """The vendor's ABNORMAL is of LwM2M devices alone."""

    ONLINE = "ONLINE"
    OFFLINE = "OFFLINE"
    ABNORMAL = "ABNORMAL"


@record
class StatusChange:
    """A device came, went or fell silent at `utc`; of one that was just deleted no node and no product are known."""

    request_id: str
    device_id: str
    node_id: str | None
    product_id: str | None
    status: PushedStatus
    utc: datetime
    last_online: datetime

    def encode(self) -> bytes:
        known = {"node_id": self.node_id, "product_id": self.product_id}
        header = {
            "app_id": APP_ID,
            "device_id": self.device_id,
            **{name: value for name, value in known.items() if value is not None},
            "gateway_id": self.device_id,
            "tags": [],
        }
        body = {
            "status": self.status,
            "last_online_time": to_the_second(self.last_online),
            "status_update_time": to_the_millisecond(self.utc),
        }
        return orjson.dumps(
            {
                "resource": RESOURCE,
                "event": EVENT,
                "event_time": to_the_second(self.utc),
                "event_time_ms": to_the_millisecond(self.utc),
                "request_id": self.request_id,
                "notify_data": {"header": header, "body": body},
            }
        )
