"""Subscriptions: the router against the definition of matching."""

from hypothesis import given
from hypothesis import strategies as st

from broker.access.router import Router
from wire.mqtt import filter_error, matches

LEVEL = st.sampled_from(["a", "b", "", "+"])
FILTER = st.builds(
    lambda levels, tail: "/".join([*levels, *tail]),
    st.lists(LEVEL, min_size=1, max_size=3),
    st.sampled_from([[], ["#"]]),
).filter(lambda text: filter_error(text) is None)
TOPIC = st.lists(st.sampled_from(["a", "b", ""]), min_size=1, max_size=4).map("/".join).filter(bool)
STEP = st.tuples(
    st.sampled_from(["subscribe", "unsubscribe", "forget"]), st.sampled_from("xyz"), FILTER, st.integers(0, 1)
)


@given(st.lists(STEP, max_size=30), TOPIC)
def test_receivers_are_those_whose_filters_match_at_the_highest_qos(
    steps: list[tuple[str, str, str, int]], topic: str
) -> None:
    router: Router[str] = Router()
    expected: dict[tuple[str, str], int] = {}
    for verb, who, topic_filter, qos in steps:
        if verb == "subscribe":
            router.subscribe(who, topic_filter, qos)
            expected[who, topic_filter] = qos
        elif verb == "unsubscribe":
            router.unsubscribe(who, topic_filter)
            expected.pop((who, topic_filter), None)
        else:
            router.forget(who)
            expected = {key: value for key, value in expected.items() if key[0] != who}
    wanted: dict[str, int] = {}
    for (who, topic_filter), qos in expected.items():
        if matches(topic_filter, topic):
            wanted[who] = max(qos, wanted.get(who, 0))
    assert router.receivers(topic) == wanted


@given(st.lists(FILTER, unique=True))
def test_nothing_is_left_of_a_forgotten_subscriber(filters: list[str]) -> None:
    router: Router[str] = Router()
    for topic_filter in filters:
        router.subscribe("x", topic_filter, 1)
    router.forget("x")
    assert not router._exact
    assert not router._wild.below
    assert not router._filters


def test_unsubscribing_leaves_the_other_filters_and_subscribers() -> None:
    router: Router[str] = Router()
    for who, topic_filter in [("x", "a"), ("y", "a"), ("x", "+"), ("x", "+/b"), ("y", "+/b")]:
        router.subscribe(who, topic_filter, 0)
    router.unsubscribe("x", "a")
    router.unsubscribe("x", "+/b")
    router.unsubscribe("x", "never")
    assert router.receivers("a") == {"y": 0, "x": 0}
    assert router.receivers("a/b") == {"y": 0}
    router.unsubscribe("x", "+")
    router.unsubscribe("x", "+")
    assert router.receivers("a") == {"y": 0}


def test_lower_qos_of_a_wildcard_does_not_lower_the_exact_filter() -> None:
    router: Router[str] = Router()
    router.subscribe("x", "a", 1)
    router.subscribe("x", "+", 0)
    assert router.receivers("a") == {"x": 1}


def test_filter_of_many_levels_needs_no_deep_stack() -> None:
    router: Router[str] = Router()
    deep = "/".join(["+"] * 30_000)
    router.subscribe("x", deep, 1)
    assert router.receivers("/".join(["a"] * 30_000)) == {"x": 1}
    router.forget("x")
    assert not router._wild.below
