"""Which topics a device may use: its own under `$oc/devices/{id}/`, and every topic that does not start with `$`."""

from enum import Enum, auto


class Realm(Enum):
    """Where a topic, or a whole filter, belongs as one device sees it."""

    SYSTEM = auto()
    """Its own `$oc` topics: messages to and from the platform."""
    CUSTOM = auto()
    """Topics without `$`: messages between devices, through the engine."""
    FOREIGN = auto()
    """Another device's `$oc` topics, and every other `$` topic."""


def realm(device_id: str, topic: str) -> Realm:
    """Tell where a topic name or filter belongs; a wildcard in place of the device id makes it foreign."""
    if not topic.startswith("$"):
        return Realm.CUSTOM
    if topic.startswith(f"$oc/devices/{device_id}/"):
        return Realm.SYSTEM
    return Realm.FOREIGN


def command_topic(device_id: str, request_id: str) -> str:
    return f"$oc/devices/{device_id}/sys/commands/request_id={request_id}"


def message_topic(device_id: str) -> str:
    return f"$oc/devices/{device_id}/sys/messages/down"


def answered_request(device_id: str, topic: str) -> str | None:
    """Return the request id if the topic is the device's answer to a command."""
    prefix = f"$oc/devices/{device_id}/sys/commands/response/request_id="
    return topic[len(prefix) :] if topic.startswith(prefix) else None
