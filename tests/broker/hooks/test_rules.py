"""Topics at another broker: each device its own, and for RabbitMQ no filter that would read them all."""

import pytest

from broker.access.topics import Realm
from broker.hooks.calls import ResourceUse, TopicUse, Use
from broker.hooks.rules import may_touch, routing_key_realm, topic_realm

CLIENT = "d1_0_0_2026112119"
PUBLISH, SUBSCRIBE = Use.PUBLISH, Use.SUBSCRIBE
SYSTEM, CUSTOM, FOREIGN = Realm.SYSTEM, Realm.CUSTOM, Realm.FOREIGN


@pytest.mark.parametrize(
    ("use", "key", "expected"),
    [
        (PUBLISH, "$oc.devices.d1.sys.events.up", SYSTEM),
        (SUBSCRIBE, "$oc.devices.d1.sys.#", SYSTEM),
        (SUBSCRIBE, "$oc.devices.d1.#", SYSTEM),
        (PUBLISH, "$oc.devices.d10.sys.events.up", FOREIGN),
        (PUBLISH, "$oc.devices.d1", FOREIGN),
        (SUBSCRIBE, "$oc.devices.*.sys.#", FOREIGN),
        (SUBSCRIBE, "$oc.#", FOREIGN),
        (SUBSCRIBE, "$oc.*.d1.x", FOREIGN),
        (SUBSCRIBE, "$SYS.#", FOREIGN),
        (SUBSCRIBE, "$ocean", FOREIGN),
        (SUBSCRIBE, "#", FOREIGN),
        (SUBSCRIBE, "*", FOREIGN),
        (SUBSCRIBE, "*.devices.#", FOREIGN),
        (SUBSCRIBE, "#.d2.#", FOREIGN),
        (PUBLISH, "*.x", CUSTOM),
        (SUBSCRIBE, "hall.#", CUSTOM),
        (SUBSCRIBE, "hall.*.meters", CUSTOM),
        (SUBSCRIBE, "", CUSTOM),
        (SUBSCRIBE, ".#", CUSTOM),
        (PUBLISH, "hall.7.b", CUSTOM),
    ],
)
def test_routing_key_belongs(use: Use, key: str, expected: Realm) -> None:
    assert routing_key_realm("d1", TopicUse(CLIENT, use, key)) is expected


@pytest.mark.parametrize(
    ("topic", "expected"),
    [("$oc/devices/d1/sys/#", SYSTEM), ("$oc/devices/d2/sys/#", FOREIGN), ("#", CUSTOM), ("+/x", CUSTOM)],
)
def test_topic_of_mqtt_belongs_as_at_our_own_port(topic: str, expected: Realm) -> None:
    assert topic_realm("d1", TopicUse(CLIENT, SUBSCRIBE, topic)) is expected


@pytest.mark.parametrize(
    ("kind", "name", "may"),
    [
        ("exchange", "amq.topic", True),
        ("exchange", "amq.direct", False),
        ("queue", f"mqtt-subscription-{CLIENT}qos0", True),
        ("queue", f"mqtt-subscription-{CLIENT}qos1", True),
        ("queue", "mqtt-subscription-d2_0_0_2026112119qos1", False),
        ("queue", "amq.topic", False),
        ("exchange", f"mqtt-subscription-{CLIENT}qos0", False),
    ],
)
def test_device_touches_what_mqtt_needs(kind: str, name: str, may: bool) -> None:
    assert may_touch(ResourceUse(CLIENT, kind, name)) is may
