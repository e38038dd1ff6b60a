"""How long a device waits: every shape against its formula, and the jitter against what it promises."""

import math
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.device.backoff import Backoff, Shape, jitter

failures = st.integers(0, 10_000)
jitters = st.floats(0, 1, exclude_max=True)
bases = st.floats(0.001, 100)
caps = st.floats(0.001, 1000)
waits = st.floats(0, 1000)


def capped(base: float, times: int, cap: float) -> float:
    """`min(base * 2^times, cap)` without overflow; sixteen doublings stand for all more."""
    return min(math.ldexp(base, min(times, 16)), cap)


@given(failures, waits, jitters, bases, caps)
def test_none_never_waits(count: int, previous: float, chance: float, base: float, cap: float) -> None:
    assert Backoff(Shape.NONE, base, cap).delay_s(count, previous, chance) == 0.0


@given(failures, waits, jitters, bases, caps)
def test_fixed_always_waits_the_same(count: int, previous: float, chance: float, base: float, cap: float) -> None:
    assert Backoff(Shape.FIXED, base, cap).delay_s(count, previous, chance) == min(base, cap)


@given(failures, waits, jitters, bases, caps)
def test_exponential_doubles_up_to_its_cap(count: int, previous: float, chance: float, base: float, cap: float) -> None:
    assert Backoff(Shape.EXPONENTIAL, base, cap).delay_s(count, previous, chance) == capped(base, count, cap)


@given(failures, waits, jitters, bases, caps)
def test_full_jitter_draws_from_nothing_to_the_exponential_wait(
    count: int, previous: float, chance: float, base: float, cap: float
) -> None:
    wait = Backoff(Shape.FULL_JITTER, base, cap).delay_s(count, previous, chance)
    assert wait == pytest.approx(chance * capped(base, count, cap))
    assert 0 <= wait <= cap


@given(failures, waits, jitters, bases, caps)
def test_decorrelated_draws_from_its_base_to_three_times_the_last_wait(
    count: int, previous: float, chance: float, base: float, cap: float
) -> None:
    wait = Backoff(Shape.DECORRELATED, base, cap).delay_s(count, previous, chance)
    longest = 3 * max(previous, base)
    assert wait == pytest.approx(min(cap, base + chance * (longest - base)))
    assert min(base, cap) <= wait <= min(longest * (1 + 1e-12), cap)


@given(failures, waits, jitters, bases, caps, st.floats(0, 2))
def test_vendor_adds_a_jittered_power_of_two_to_its_base(
    count: int, previous: float, chance: float, base: float, cap: float, low: float
) -> None:
    wait = Backoff(Shape.VENDOR, base, cap, low=low).delay_s(count, previous, chance)
    power = 2 ** min(count, 16)
    assert wait == pytest.approx(min(base + power * (low + 0.2 * chance), cap))
    assert min(base + power * low, cap) <= wait <= cap


@given(st.sampled_from(Shape), failures, waits, jitters, bases, caps, st.floats(0, 60))
def test_the_pause_is_added_after_the_cap(
    shape: Shape, count: int, previous: float, chance: float, base: float, cap: float, pause: float
) -> None:
    bare = Backoff(shape, base, cap).delay_s(count, previous, chance)
    assert Backoff(shape, base, cap, pause_s=pause).delay_s(count, previous, chance) == bare + pause
    assert 0 <= bare <= cap


@pytest.mark.parametrize("shape", [Shape.EXPONENTIAL, Shape.FULL_JITTER, Shape.VENDOR])
@given(count=failures, chance=jitters)
def test_a_longer_row_of_failures_never_waits_less(shape: Shape, count: int, chance: float) -> None:
    backoff = Backoff(shape)
    assert backoff.delay_s(count, 0.0, chance) <= backoff.delay_s(count + 1, 0.0, chance)


def test_decorrelated_grows_with_its_own_last_wait() -> None:
    backoff = Backoff(Shape.DECORRELATED)
    grown = accumulate(range(5), lambda previous, count: backoff.delay_s(count, previous, 0.5), initial=0.0)
    assert list(grown)[1:] == [2.0, 3.5, 5.75, 9.125, 14.1875]


@pytest.mark.parametrize(
    ("backoff", "formula"),
    [
        (Backoff(Shape.NONE), "0"),
        (Backoff(Shape.FIXED, 2.5), "2.5"),
        (Backoff(Shape.EXPONENTIAL, 1, 60), "min(1\u00b72\u207f, 60)"),
        (Backoff(Shape.FULL_JITTER), "u\u00b7min(1\u00b72\u207f, 30)"),
        (Backoff(Shape.DECORRELATED), "min(1 + u\u00b7(3\u00b7last - 1), 30)"),
        (Backoff(Shape.VENDOR, pause_s=1.0), "min(1 + 2\u207f\u00b7(0.8 + 0.2u), 30) + 1"),
    ],
)
def test_a_back_off_shows_as_its_formula(backoff: Backoff, formula: str) -> None:
    assert str(backoff) == formula


@given(st.integers(), st.text(), st.integers(0))
def test_jitter_is_a_number_from_zero_up_to_but_without_one(seed: int, device_id: str, attempt: int) -> None:
    assert 0 <= jitter(seed, device_id, attempt) < 1


def test_jitter_is_the_same_in_every_run_of_the_program() -> None:
    assert jitter(1, "device-1", 1) == 0.5033576302242703


def test_jitter_depends_on_seed_device_and_attempt() -> None:
    drawn = {jitter(seed, f"device-{device}", attempt) for seed in (1, 2) for device in (1, 2) for attempt in range(50)}
    assert len(drawn) == 200


@pytest.mark.parametrize("varied", ["seed", "device", "attempt"])
def test_jitter_spreads_evenly(varied: str) -> None:
    draws = {
        "seed": [jitter(number, "device-1", 1) for number in range(10_000)],
        "device": [jitter(1, f"device-{number}", 1) for number in range(10_000)],
        "attempt": [jitter(1, "device-1", number) for number in range(10_000)],
    }[varied]
    tenths = [0] * 10
    for draw in draws:
        tenths[int(draw * 10)] += 1
    assert min(tenths) > 850
    assert max(tenths) < 1150
    assert sum(draws) / len(draws) == pytest.approx(0.5, abs=0.02)
