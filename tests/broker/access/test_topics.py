"""Whose topic is it?"""

import pytest

from broker.access.topics import Exchange, Realm, answered_request, is_event, is_platforms, realm, request_topic


@pytest.mark.parametrize(
    "topic",
    [
        "$oc/devices/d1/sys/properties/report",
        "$oc/devices/d1/sys/commands/#",
        "$oc/devices/d1/#",
        "$oc/devices/d1/user/anything",
    ],
)
def test_own_oc_topics_are_system(topic: str) -> None:
    assert realm("d1", topic) is Realm.SYSTEM


@pytest.mark.parametrize("topic", ["a", "#", "+/b", "/huawei/v1/devices/d1/data/json", "oc/devices/d2/sys/messages/up"])
def test_topics_without_dollar_are_custom(topic: str) -> None:
    assert realm("d1", topic) is Realm.CUSTOM


@pytest.mark.parametrize(
    "topic",
    [
        "$oc/devices/d2/sys/messages/down",
        "$oc/devices/d10/sys/messages/down",
        "$oc/devices/+/sys/#",
        "$oc/#",
        "$oc/devices/d1",
        "$SYS/#",
        "$share/group/topic",
    ],
)
def test_every_other_dollar_topic_is_foreign(topic: str) -> None:
    assert realm("d1", topic) is Realm.FOREIGN


@pytest.mark.parametrize("exchange", Exchange)
def test_answer_names_the_request_and_what_was_asked(exchange: Exchange) -> None:
    asked = request_topic("d1", exchange, "r-7")
    answer_topic = asked.replace("/request_id=", "/response/request_id=")
    assert answered_request("d1", answer_topic) == (exchange, "r-7")
    assert answered_request("d2", answer_topic) is None
    assert answered_request("d1", asked) is None


def test_answer_to_what_is_never_asked_is_none() -> None:
    assert answered_request("d1", "$oc/devices/d1/sys/shadow/get/response/request_id=1") is None
    assert answered_request("d1", "$oc/devices/d1/user/commands/response/request_id=1") is None


def test_events_are_told_on_one_topic_only() -> None:
    assert is_event("d1", "$oc/devices/d1/sys/events/up")
    assert not is_event("d1", "$oc/devices/d1/user/sys/events/up")


@pytest.mark.parametrize("topic", ["$oc", "$oc/devices/d1/sys/messages/up", "$oc/#", "$share/group/$oc/devices/+/#"])
def test_topics_of_every_device_are_the_platforms(topic: str) -> None:
    assert is_platforms(topic)


@pytest.mark.parametrize("topic", ["", "a", "oc/$oc", "$ocean", "$SYS/a", "#", "$share/$oc/a", "$share/$oc", "$share"])
def test_other_topics_are_not_the_platforms(topic: str) -> None:
    assert not is_platforms(topic)
