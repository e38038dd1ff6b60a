"""The named behaviours: what each firmware does after a refusal and after a cut, and how long it waits."""

from dataclasses import replace

import pytest

from simulator.device.actions import WakeAt
from simulator.device.backoff import Backoff, Shape, jitter
from simulator.device.events import Cause, Event, LinkLost, Refused, SecretIssued, TimerFired, Unreachable
from simulator.device.keyring import Fallback, Slot
from simulator.device.lifecycle import Device, State
from simulator.device.profiles import PROFILES, Profile
from tests.simulator.builders import PLAIN, a_device, accept, bring_to, refuse, tell

# Seconds between the CONNECTs of the vendor's Python SDK 1.2.0 against a platform that answers 4 every time.
SEEN_OF_PYTHON = (3.0, 3.7, 5.7, 9.9, 15.4)
SEEDS = range(200)


def wait(device: Device, event: Event, now: float = 0.0) -> float:
    """The seconds that a device waits after an event, which must set exactly one timer."""
    (action,) = device.handle(event, now)
    assert isinstance(action, WakeAt)
    return action.when - now


def refused_waits(device: Device, count: int) -> list[float]:
    """The waits of a started device that is refused every time."""
    waits = []
    for _ in range(count):
        waits.append(wait(device, Refused(device.attempt, Cause.CREDENTIAL, 4)))
        tell(device, [TimerFired(device.attempt)])
    return waits


def start(name: str, seed: int = 1) -> Device:
    return bring_to(a_device(profile=PROFILES[name], fallback=PROFILES[name].fallback, seed=seed), State.CONNECTING)


def test_the_profiles_are_those_of_the_design() -> None:
    assert set(PROFILES) == {*(shape for shape in Shape if shape is not Shape.VENDOR and shape is not Shape.NONE)} | {
        "no-backoff",
        "huawei-python",
        "huawei-java",
        "huawei-c",
    }
    assert all(profile.name == name and profile.source for name, profile in PROFILES.items())


def test_no_vendor_firmware_knows_a_second_secret() -> None:
    knows = {name for name, profile in PROFILES.items() if profile.fallback is not Fallback.PRIMARY_ONLY}
    assert not any(name.startswith("huawei") for name in knows)
    assert knows == {name for name in PROFILES if not name.startswith("huawei")}


def test_python_waits_as_it_was_seen_to() -> None:
    bounds = [(1 + 2**n * 0.8 + 1, 1 + 2**n * 1.0 + 1) for n in range(5)]
    assert all(low <= seen <= high for (low, high), seen in zip(bounds, SEEN_OF_PYTHON, strict=True))
    every = [refused_waits(start("huawei-python", seed), 5) for seed in SEEDS]
    for (low, high), waits in zip(bounds, zip(*every, strict=True), strict=True):
        assert low <= min(waits) < max(waits) < high
        assert max(waits) - min(waits) > 0.8 * (high - low)


def test_python_ends_at_half_a_minute_and_its_pause() -> None:
    assert refused_waits(start("huawei-python"), 12)[-5:] == [31.0] * 5


@pytest.mark.parametrize(("name", "low", "high"), [("huawei-java", 1.8, 2.0), ("huawei-c", 2.6, 2.8)])
def test_java_and_c_wait_before_they_reconnect(name: str, low: float, high: float) -> None:
    for seed in SEEDS:
        device = start(name, seed)
        accept(device)
        assert low <= wait(device, LinkLost(device.attempt, "reset by peer")) < high


def test_python_reconnects_at_once_after_a_cut_but_not_after_a_refusal() -> None:
    device = start("huawei-python")
    accept(device)
    assert wait(device, LinkLost(device.attempt, "reset by peer"), now=50.0) == 0.0
    tell(device, [TimerFired(device.attempt)])
    assert 2.8 <= wait(device, Refused(device.attempt, Cause.CREDENTIAL, 4)) < 3.0


@pytest.mark.parametrize(
    ("name", "forgets"),
    [("full-jitter", True), ("huawei-python", False), ("huawei-java", True), ("huawei-c", False)],
)
def test_an_accepted_link_resets_the_back_off_or_does_not(name: str, forgets: bool) -> None:
    profile = replace(PROFILES[name], backoff=Backoff(Shape.EXPONENTIAL), reconnects_at_once=False)
    device = bring_to(a_device(profile=profile), State.CONNECTING)
    waits = []
    for _ in range(3):
        waits.append(wait(device, Unreachable(device.attempt, "nobody there")))
        tell(device, [TimerFired(device.attempt)])
    assert waits == [1.0, 2.0, 4.0]
    accept(device)
    assert wait(device, LinkLost(device.attempt, "reset by peer")) == (1.0 if forgets else 8.0)


def test_an_accepted_link_makes_a_decorrelated_wait_start_small_again() -> None:
    profile = replace(PLAIN, backoff=Backoff(Shape.DECORRELATED, cap_s=1e9))
    device = bring_to(a_device(profile=profile), State.CONNECTING)
    refused_waits(device, 20)
    accept(device)
    chance = jitter(device.seed, device.device_id, device.attempt)
    assert wait(device, LinkLost(device.attempt, "reset by peer")) == pytest.approx(1 + chance * 2)


def test_falling_back_to_the_next_secret_costs_no_wait_and_counts_as_no_failure() -> None:
    profile = replace(PLAIN, backoff=Backoff(Shape.EXPONENTIAL))
    device = bring_to(a_device(profile=profile, secondary="secondary-0"), State.CONNECTING)
    assert [one.secret for one in refuse(device)] == ["secondary-0"]
    assert wait(device, Refused(device.attempt, Cause.CREDENTIAL, 4)) == 1.0


def test_waits_differ_from_attempt_to_attempt_and_are_the_same_with_the_same_seed() -> None:
    first, again, other = (refused_waits(start("full-jitter", seed), 8) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert len({taken / min(30, 2**n) for n, taken in enumerate(first)}) == 8


def test_java_halts_when_its_very_first_login_is_refused() -> None:
    device = start("huawei-java")
    assert device.handle(Refused(device.attempt, Cause.CREDENTIAL, 4), 0.0) == []
    assert device.state is State.HALTED


def test_java_never_halts_once_it_was_accepted() -> None:
    device = start("huawei-java")
    accept(device)
    tell(device, [LinkLost(device.attempt, "reset by peer"), TimerFired(device.attempt)])
    refuse(device)
    assert device.state is State.LOCKED_OUT


def test_java_halts_only_after_every_secret_was_refused() -> None:
    device = bring_to(a_device(profile=PROFILES["huawei-java"], secondary="secondary-0"), State.CONNECTING)
    assert [one.secret for one in refuse(device)] == ["secondary-0"]
    refuse(device)
    assert device.state is State.HALTED


def test_java_does_not_halt_when_nobody_answers_its_first_login() -> None:
    device = start("huawei-java")
    wait(device, Unreachable(device.attempt, "nobody there"))
    assert device.state is State.WAITING


def test_a_halted_device_tries_again_when_it_is_given_a_secret() -> None:
    device = start("huawei-java")
    refuse(device)
    assert [one.secret for one in tell(device, [SecretIssued(Slot.PRIMARY, "primary-1")])] == ["primary-1"]
    assert [one.secret for one in refuse(device)] == ["primary-0"]
    refuse(device)
    assert device.state is State.HALTED


@pytest.mark.parametrize("name", ["full-jitter", "huawei-python", "huawei-c"])
def test_the_other_firmwares_retry_from_the_first_refusal_on(name: str) -> None:
    device = start(name)
    refuse(device)
    assert device.state is State.LOCKED_OUT


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("cause", [Cause.NOT_ALLOWED, Cause.CONFIG])
def test_every_shipped_firmware_retries_a_refusal_that_blames_no_secret(name: str, cause: Cause) -> None:
    device = start(name)
    refuse(device, cause)
    assert device.state is State.WAITING


def test_a_profile_may_halt_on_a_refusal_that_blames_no_secret() -> None:
    halting: Profile = replace(PLAIN, halts_when_not_allowed=True)
    device = bring_to(a_device(profile=halting), State.ONLINE)
    assert device.handle(Refused(device.attempt, Cause.NOT_ALLOWED, 5), 0.0) == []
    assert device.state is State.HALTED


def test_only_the_python_firmware_asks_for_its_hour_to_be_checked_and_only_c_signs_once() -> None:
    assert {name for name, profile in PROFILES.items() if profile.sign} == {"huawei-python"}
    assert {name for name, profile in PROFILES.items() if profile.signs_once} == {"huawei-c"}


def test_java_sdk_starts_its_formula_over_after_sixteen_failures() -> None:
    backoff = PROFILES["huawei-java"].backoff
    assert backoff.delay_s(15, 0.0, 0.5) == 30.0
    assert backoff.delay_s(16, 0.0, 0.5) == backoff.delay_s(0, 0.0, 0.5) < 2.0
