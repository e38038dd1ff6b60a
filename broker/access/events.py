"""What the platform makes of the vendor's events: the time is told, versions are remembered, names are journalled.

Sources: support.huaweicloud.com, api-iothub/iot_06_v5_3010 (events), _3040 and _3041 (time), _3042 (versions). What an
event says beyond its names is its sender's, and may be anything: it is not journalled.
"""

import orjson

from broker.access.delivery import Delivery
from broker.access.payloads import Json
from broker.access.queue import Message
from broker.access.topics import event_topic
from broker.clock import Clock
from broker.journal import Journal, plain_integer
from broker.presence import Versions
from broker.sessions import Session, Sessions

EVENTS_READ = 16
"""So many events of one message are looked at."""
LONGEST_NAME = 64
LONGEST_VERSION = 256
TIME_SYNC = ("$time_sync", "time_sync_request")
SDK_INFO = ("$sdk_info", "sdk_info_report")


class Events:
    """Takes events of devices about themselves; one that makes no sense changes nothing."""

    def __init__(self, sessions: Sessions, delivery: Delivery, journal: Journal, clock: Clock) -> None:
        self._sessions = sessions
        self._delivery = delivery
        self._journal = journal
        self._clock = clock

    def take(self, session: Session, body: Json) -> None:
        """Take what came on `events/up`, parsed."""
        if not isinstance(body, dict) or (body.get("object_device_id") or session.device_id) != session.device_id:
            return
        services = body.get("services")
        for event in services[:EVENTS_READ] if isinstance(services, list) else ():
            if isinstance(event, dict):
                self._take_one(session, event)

    def _take_one(self, session: Session, event: dict[str, Json]) -> None:
        service_id, event_type = _name(event.get("service_id")), _name(event.get("event_type"))
        self._journal.write("event", device=session.device_id, service_id=service_id, event_type=event_type)
        paras = event.get("paras")
        if not isinstance(paras, dict):
            return
        if (service_id, event_type) == TIME_SYNC:
            self._tell_time(session, paras)
        elif (service_id, event_type) == SDK_INFO:
            self._sessions.presence.reported(session.device_id, _versions(paras))

    def _tell_time(self, session: Session, paras: dict[str, Json]) -> None:
        """Answer with the device's own time and ours, in milliseconds: we send in the turn in which we receive."""
        sent_ms = _milliseconds(paras.get("device_send_time"))
        if sent_ms is None:
            return
        utc = self._clock.utc()
        now_ms = int(utc.timestamp() * 1000)
        event = {
            "service_id": "$time_sync",
            "event_type": "time_sync_response",
            "event_time": f"{utc:%Y%m%dT%H%M%SZ}",
            "paras": {"device_send_time": sent_ms, "server_recv_time": now_ms, "server_send_time": now_ms},
        }
        body = {"object_device_id": session.device_id, "services": [event]}
        message = Message(event_topic(session.device_id), orjson.dumps(body))
        self._delivery.to_session(session, message, session.downlinks.granted_qos(message.topic))


def _name(value: Json) -> str | None:
    return value[:LONGEST_NAME] if isinstance(value, str) else None


def _milliseconds(value: Json) -> int | None:
    """Read a time as a number, or as the text that the vendor's Python SDK makes of one."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= len(str(1 << 63)):
        value = int(value)
    return plain_integer(value)


def _versions(paras: dict[str, Json]) -> Versions:
    return Versions(*(_version(paras.get(name)) for name in ("device_sdk_version", "sw_version", "fw_version")))


def _version(value: Json) -> str | None:
    return value[:LONGEST_VERSION] if isinstance(value, str) else None
