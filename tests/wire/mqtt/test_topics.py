"""Topic names and filters against the examples of the specification (MQTT 3.1.1 §4.7) and against paho."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from wire.mqtt import filter_error, matches, topic_error


@pytest.mark.parametrize(
    ("topic_filter", "topic", "expected"),
    [
        ("sport/tennis/player1/#", "sport/tennis/player1", True),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking", True),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", True),
        ("sport/#", "sport", True),
        ("sport/#", "sports", False),
        ("a/b/#", "a", False),
        ("#", "a", True),
        ("#", "/", True),
        ("#", "a/b/c", True),
        ("sport/tennis/+", "sport/tennis/player1", True),
        ("sport/tennis/+", "sport/tennis/player1/ranking", False),
        ("sport/+", "sport", False),
        ("sport/+", "sport/", True),
        ("+/+", "/finance", True),
        ("/+", "/finance", True),
        ("+", "/finance", False),
        ("#", "$SYS/monitor", False),
        ("+/monitor/Clients", "$SYS/monitor/Clients", False),
        ("+/#", "$SYS", False),
        ("$SYS/#", "$SYS/monitor", True),
        ("$SYS/monitor/+", "$SYS/monitor/Clients", True),
        ("a/+", "a/$b", True),
        ("a/#", "a/$b", True),
        ("ACCOUNTS", "Accounts", False),
        ("/finance", "finance", False),
        ("a//b", "a//b", True),
        ("a/+/b", "a//b", True),
        ("$oc/devices/+/sys/#", "$oc/devices/d1/sys/commands/request_id=1", True),
    ],
)
def test_filter_matches_as_the_specification_says(topic_filter: str, topic: str, expected: bool) -> None:
    assert matches(topic_filter, topic) is expected


@pytest.mark.parametrize("topic_filter", ["#", "+", "/", "a/#", "+/tennis/#", "sport/+/player1", "/+", "a//b", " "])
def test_well_formed_filter_is_accepted(topic_filter: str) -> None:
    assert filter_error(topic_filter) is None


@pytest.mark.parametrize("topic_filter", ["", "sport/tennis#", "sport/#/ranking", "sport+", "a/b+/c", "##", "a/++"])
def test_malformed_filter_is_named(topic_filter: str) -> None:
    assert filter_error(topic_filter)


@pytest.mark.parametrize("topic", ["a", "/", "a/b", "a b", "$oc/devices/d/user/t"])
def test_well_formed_topic_name_is_accepted(topic: str) -> None:
    assert topic_error(topic) is None


@pytest.mark.parametrize("topic", ["", "#", "a/+", "a+b"])
def test_malformed_topic_name_is_named(topic: str) -> None:
    assert topic_error(topic)


words = st.sampled_from(["", "a", "b", "$", "$a", "é"])
topics = st.lists(words, min_size=1, max_size=5).map("/".join)
topic_filters = st.lists(words | st.just("+"), min_size=1, max_size=5).map("/".join)
topic_filters |= topic_filters.map(lambda text: text + "/#") | st.just("#")


@given(topic_filters, topics)
def test_matching_agrees_with_paho(topic_filter: str, topic: str) -> None:
    assume(topic_error(topic) is None and filter_error(topic_filter) is None)
    assert matches(topic_filter, topic) == topic_matches_sub(topic_filter, topic)


@given(topics, st.data())
def test_filter_made_from_a_topic_matches_it_as_with_paho(topic: str, data: st.DataObject) -> None:
    assume(topic)
    levels = [data.draw(st.sampled_from([level, "+"])) for level in topic.split("/")]
    if data.draw(st.booleans()):
        levels[data.draw(st.integers(0, len(levels))) :] = ["#"]
    topic_filter = "/".join(levels)
    assume(topic_filter)
    hidden = topic.startswith("$") and topic_filter[0] in "+#"
    assert matches(topic_filter, topic) is not hidden
    assert topic_matches_sub(topic_filter, topic) is not hidden
