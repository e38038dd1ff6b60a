"""Subscriptions: the router against the definition of matching."""

from hypothesis import given
from hypothesis import strategies as st

from broker.access.router import Grant, Router
from wire.mqtt import filter_error, matches

LEVEL = st.sampled_from(["a", "b", "", "+"])
FILTER = st.builds(
    lambda levels, tail: "/".join([*levels, *tail]),
    st.lists(LEVEL, min_size=1, max_size=3),
    st.sampled_from([[], ["#"]]),
).filter(lambda text: filter_error(text) is None)
TOPIC = st.lists(st.sampled_from(["a", "b", ""]), min_size=1, max_size=4).map("/".join).filter(bool)
STEP = st.tuples(
    st.sampled_from(["subscribe", "unsubscribe", "forget"]),
    st.sampled_from("xyz"),
    FILTER,
    st.builds(Grant, st.integers(0, 1), st.booleans()),
)


@given(st.lists(STEP, max_size=30), TOPIC, st.sampled_from("xyz"))
def test_receivers_are_those_whose_filters_match_at_the_highest_qos(
    steps: list[tuple[str, str, str, Grant]], topic: str, sender: str
) -> None:
    router: Router[str] = Router()
    expected: dict[tuple[str, str], Grant] = {}
    for verb, who, topic_filter, grant in steps:
        if verb == "subscribe":
            router.subscribe(who, topic_filter, grant)
            expected[who, topic_filter] = grant
        elif verb == "unsubscribe":
            assert router.unsubscribe(who, topic_filter) is ((who, topic_filter) in expected)
            expected.pop((who, topic_filter), None)
        else:
            router.forget(who)
            expected = {key: value for key, value in expected.items() if key[0] != who}
    wanted: dict[str, int] = {}
    for (who, topic_filter), grant in expected.items():
        if matches(topic_filter, topic) and not (grant.no_local and who == sender):
            wanted[who] = max(grant.qos, wanted.get(who, 0))
    assert router.receivers(topic, sender) == wanted
    for who in "xyz":
        granted = [grant.qos for (one, each), grant in expected.items() if one == who and matches(each, topic)]
        assert router.subscribed_qos(who, topic) == max(granted, default=None)


@given(st.lists(FILTER, unique=True))
def test_nothing_is_left_of_a_forgotten_subscriber(filters: list[str]) -> None:
    router: Router[str] = Router()
    for topic_filter in filters:
        router.subscribe("x", topic_filter, Grant(1))
    router.forget("x")
    assert not router._exact
    assert not router._wild.below
    assert not router._filters


def test_unsubscribing_leaves_the_other_filters_and_subscribers() -> None:
    router: Router[str] = Router()
    for who, topic_filter in [("x", "a"), ("y", "a"), ("x", "+"), ("x", "+/b"), ("y", "+/b")]:
        router.subscribe(who, topic_filter, Grant(0))
    router.unsubscribe("x", "a")
    router.unsubscribe("x", "+/b")
    router.unsubscribe("x", "never")
    assert router.receivers("a", "z") == {"y": 0, "x": 0}
    assert router.receivers("a/b", "z") == {"y": 0}
    router.unsubscribe("x", "+")
    router.unsubscribe("x", "+")
    assert router.receivers("a", "z") == {"y": 0}


def test_lower_qos_of_a_wildcard_does_not_lower_the_exact_filter() -> None:
    router: Router[str] = Router()
    router.subscribe("x", "a", Grant(1))
    router.subscribe("x", "+", Grant(0))
    assert router.receivers("a", "z") == {"x": 1}


def test_filter_of_many_levels_needs_no_deep_stack() -> None:
    router: Router[str] = Router()
    deep = "/".join(["+"] * 30_000)
    router.subscribe("x", deep, Grant(1))
    assert router.receivers("/".join(["a"] * 30_000), "z") == {"x": 1}
    router.forget("x")
    assert not router._wild.below
