"""Whose topic is it?"""

import pytest

from broker.access.topics import Realm, answered_request, command_topic, realm


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


def test_answer_names_the_request_of_its_command() -> None:
    answer_topic = command_topic("d1", "r-7").replace("/commands/", "/commands/response/")
    assert answered_request("d1", answer_topic) == "r-7"
    assert answered_request("d2", answer_topic) is None
    assert answered_request("d1", command_topic("d1", "r-7")) is None
