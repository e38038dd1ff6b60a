"""Which topics a device may use: its own under `$oc/devices/{id}/`, and every topic that does not start with `$`."""

from enum import Enum, StrEnum, auto


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


def is_platforms(topic: str) -> bool:
    """Tell whether a topic name or filter, shared or not, is among the `$oc` topics of whichever device."""
    if topic.startswith("$share/"):
        topic = topic.removeprefix("$share/").partition("/")[2]
    return topic == "$oc" or topic.startswith("$oc/")


class Exchange(StrEnum):
    """What the platform asks and a device answers, by the levels of both topics."""

    COMMAND = "commands"
    GET_PROPERTIES = "properties/get"
    SET_PROPERTIES = "properties/set"


EXCHANGES = {one.value: one for one in Exchange}
RESPONSE = "/response/request_id="
EVENTS_UP = "/sys/events/up"


def request_topic(device_id: str, exchange: Exchange, request_id: str) -> str:
    return f"$oc/devices/{device_id}/sys/{exchange}/request_id={request_id}"


def message_topic(device_id: str) -> str:
    return f"$oc/devices/{device_id}/sys/messages/down"


def event_topic(device_id: str) -> str:
    return f"$oc/devices/{device_id}/sys/events/down"


def is_event(device_id: str, topic: str) -> bool:
    """Tell whether a device reports events on this topic."""
    return topic.endswith(EVENTS_UP) and topic == f"$oc/devices/{device_id}{EVENTS_UP}"


def user_topic(device_id: str, suffix: str) -> str:
    return f"$oc/devices/{device_id}/user/{suffix}"


def is_implicit(device_id: str, topic: str) -> bool:
    """Tell whether a device gets this topic without having subscribed to it."""
    return topic.startswith(f"$oc/devices/{device_id}/sys/")


def answered_request(device_id: str, topic: str) -> tuple[Exchange, str] | None:
    """Return what a topic answers, and the request id, if it is one for the device's answers."""
    head, found, request_id = topic.partition(RESPONSE)
    if not found:
        return None
    exchange = EXCHANGES.get(head.removeprefix(f"$oc/devices/{device_id}/sys/"))
    return None if exchange is None else (exchange, request_id)
