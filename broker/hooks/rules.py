"""Which topics a device may use at another broker: as at our own port, but for what that broker does differently.

RabbitMQ speaks of routing keys: it turns '/' into '.' and '+' into '*', and what held dots before cannot be told apart.
No device id holds any. It also hands `$` topics to filters that begin with a wildcard, against [MQTT-4.7.2-1]: such a
filter would read every device's messages, and is foreign.
"""

from broker.access.topics import Realm, realm
from broker.hooks.calls import ResourceUse, TopicUse, Use

EXCHANGE = "amq.topic"


def routing_key_realm(device_id: str, wanted: TopicUse) -> Realm:
    """Tell where a routing key of RabbitMQ belongs, as one device sees it."""
    first, _, _ = wanted.topic.partition(".")
    if wanted.use is Use.SUBSCRIBE and first in ("*", "#"):
        return Realm.FOREIGN
    if not first.startswith("$"):
        return Realm.CUSTOM
    return Realm.SYSTEM if wanted.topic.startswith(f"$oc.devices.{device_id}.") else Realm.FOREIGN


def topic_realm(device_id: str, wanted: TopicUse) -> Realm:
    """Tell where a topic or filter of MQTT belongs, as one device sees it."""
    return realm(device_id, wanted.topic)


def may_touch(wanted: ResourceUse) -> bool:
    """Tell whether a device needs this of RabbitMQ: the exchange of all topics, or one of its client id's queues."""
    if wanted.kind == "exchange":
        return wanted.name == EXCHANGE
    queues = [f"mqtt-subscription-{wanted.client_id}qos{qos}" for qos in (0, 1)]
    return wanted.kind == "queue" and wanted.name in queues
