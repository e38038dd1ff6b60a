"""One SUBSCRIBE for two: who is asked for what, and how the answers come together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.engines.shares import brokers_share, merged, unwanted_share
from wire.mqtt import ProtocolError, Subscribe, SubscriptionOptions, Unsubscribe

OWN, FOREIGN, CUSTOM = "$oc/devices/d1/#", "$oc/devices/d2/#", "talk"
CODES = st.lists(st.none() | st.sampled_from([0, 1, 0x80]), min_size=1)


def test_packet_that_is_all_the_brokers_is_passed_on_as_it_is() -> None:
    subscribe, unsubscribe = Subscribe(1, ((CUSTOM, 1), ("a", 0))), Unsubscribe(1, (CUSTOM, "a"))
    assert brokers_share(subscribe, (None, None), 1) is subscribe
    assert unwanted_share(unsubscribe, (None, None)) is unsubscribe


def test_packet_without_anything_of_the_brokers_is_not_passed_on() -> None:
    assert brokers_share(Subscribe(1, ((OWN, 1), (FOREIGN, 0))), (1, 0x80), 1) is None
    assert unwanted_share(Unsubscribe(1, (OWN, FOREIGN)), (0, 0x11)) is None


def test_broker_is_asked_for_its_own_filters_with_their_options() -> None:
    options = tuple(SubscriptionOptions(retain_handling=one) for one in (0, 1, 2))
    packet = Subscribe(7, ((OWN, 1), (CUSTOM, 2), ("a", 0)), options)
    assert brokers_share(packet, (1, None, None), 1) == Subscribe(7, ((CUSTOM, 1), ("a", 0)), options[1:])
    assert unwanted_share(Unsubscribe(7, (OWN, CUSTOM, "a")), (0, None, None)) == Unsubscribe(7, (CUSTOM, "a"))


@pytest.mark.parametrize(("highest", "asked"), [(1, 1), (2, 2)])
def test_broker_is_asked_for_no_more_than_is_offered(highest: int, asked: int) -> None:
    assert brokers_share(Subscribe(1, ((CUSTOM, 2),)), (None,), highest) == Subscribe(1, ((CUSTOM, asked),))


@given(CODES)
def test_answers_come_together_in_order(codes: list[int | None]) -> None:
    given_by_broker = tuple(range(10, 10 + codes.count(None)))
    result = merged(tuple(codes), given_by_broker)
    assert len(result) == len(codes)
    assert [code for code, ours in zip(result, codes, strict=True) if ours is not None] == [
        code for code in codes if code is not None
    ]
    assert tuple(code for code, ours in zip(result, codes, strict=True) if ours is None) == given_by_broker


@pytest.mark.parametrize("answered", [(), (1,), (1, 1, 1)])
def test_wrong_number_of_answers_is_an_error(answered: tuple[int, ...]) -> None:
    with pytest.raises(ProtocolError, match="codes for 2 filters"):
        merged((None, 0, None), answered)
