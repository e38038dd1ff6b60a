"""Who is ONLINE, ABNORMAL or OFFLINE by its silence, and what it costs to notice."""

from datetime import datetime, timedelta

from broker.lwm2m.silence import Silence, Standing
from tests.broker.rig import START, FakeClock

ONLINE, ABNORMAL, OFFLINE = Standing
HOUR_S = 3600.0


class Counting(float):
    """A moment that counts how often a silence is measured to it."""

    measured = 0

    def __sub__(self, other: float) -> float:
        self.measured += 1
        return float(self) - other


class Bench:
    """A silence whose clock says how many hours have passed, and what was told of it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.silence = Silence(self.clock)
        self.silence.watcher = self
        self.told: list[tuple[str, Standing, float, float]] = []

    def turned(self, device_id: str, standing: Standing, utc: datetime, online_at: datetime) -> None:
        hour = timedelta(hours=1)
        self.told.append((device_id, standing, (utc - START) / hour, (online_at - START) / hour))

    def at(self, hours: float) -> float:
        self.clock.passed_s = hours * HOUR_S
        return self.clock.now()

    def heard(self, device_id: str, hours: float) -> None:
        self.silence.heard(device_id, self.at(hours))

    def sweep(self, hours: float) -> list[tuple[str, Standing, float, float]]:
        """Let the hours pass; return what is told of since the last time."""
        self.silence.sweep(self.at(hours))
        told, self.told = self.told, []
        return told


def test_silence_makes_a_device_abnormal_and_then_takes_it_offline_and_one_word_brings_it_back() -> None:
    bench = Bench()
    bench.heard("a", 0)
    bench.heard("a", 1)
    assert bench.sweep(26) == [("a", ONLINE, 0, 0)]
    assert bench.sweep(26.5) == [("a", ABNORMAL, 26.5, 0)]
    assert bench.sweep(50) == []
    assert bench.sweep(50.5) == [("a", OFFLINE, 50.5, 0)]
    assert bench.sweep(90) == []
    bench.heard("a", 91)
    assert bench.sweep(117) == [("a", ONLINE, 91, 91), ("a", ABNORMAL, 117, 91)]
    bench.heard("a", 118)
    assert bench.sweep(143) == [("a", ONLINE, 118, 118)]


def test_who_was_silent_for_both_times_between_two_looks_is_offline_at_once() -> None:
    bench = Bench()
    bench.heard("a", 0)
    bench.heard("b", 10)
    bench.sweep(1)
    assert bench.sweep(50) == [("b", ABNORMAL, 50, 10), ("a", OFFLINE, 50, 0)]


def test_who_is_forgotten_is_offline_if_it_was_not() -> None:
    bench = Bench()
    bench.heard("a", 0)
    bench.heard("b", 0)
    bench.heard("c", 2)
    bench.sweep(26)
    bench.silence.forget("a")
    bench.silence.forget("c")
    bench.silence.forget("nobody")
    assert bench.sweep(60) == [("a", OFFLINE, 26, 0), ("c", OFFLINE, 26, 2), ("b", OFFLINE, 60, 0)]
    bench.silence.forget("b")
    assert bench.sweep(61) == []


def test_how_long_a_device_is_silent_is_known_until_it_is_offline() -> None:
    bench = Bench()
    bench.heard("a", 0)
    for hours in (1, 26, 49):
        bench.sweep(hours)
        assert bench.silence.of_s("a", bench.clock.now()) == hours * HOUR_S
    bench.sweep(50)
    assert bench.silence.of_s("a", bench.clock.now()) is None


def test_look_at_ten_thousand_devices_is_one_at_those_whose_standing_changes() -> None:
    bench = Bench()
    for number in range(10_000):
        bench.heard(f"m{number}", 0 if number < 3_000 else 10)
    for number in range(2_998):
        bench.heard(f"m{number}", 20)
    now = Counting(bench.at(26))
    bench.silence.sweep(now)
    assert [one[:2] for one in bench.sweep(26)[10_000:]] == [("m2998", ABNORMAL), ("m2999", ABNORMAL)]
    assert now.measured < 10


def test_nobody_has_to_listen() -> None:
    bench = Bench()
    bench.silence.watcher = None
    bench.heard("a", 0)
    assert bench.sweep(60) == []
    bench.heard("a", 61)
    bench.silence.forget("a")
