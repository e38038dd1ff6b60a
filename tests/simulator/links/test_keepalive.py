"""When to ping, and when silence is death."""

import pytest

from simulator.links.keepalive import Keepalive


@pytest.mark.parametrize(
    ("sent", "heard", "due"), [(10.0, 10.0, 100.0), (50.0, 10.0, 100.0), (10.0, 50.0, 100.0), (50.0, 60.0, 140.0)]
)
def test_ping_is_due_when_one_direction_was_quiet_for_most_of_the_interval(
    sent: float, heard: float, due: float
) -> None:
    assert Keepalive(100.0, sent=sent, heard=heard).due() == due


def test_unanswered_ping_means_death_after_half_an_interval() -> None:
    keepalive = Keepalive(100.0, sent=90.0, heard=10.0, pinged=90.0)
    assert not keepalive.is_dead(139.9)
    assert keepalive.is_dead(140.0)


def test_answer_ends_the_wait() -> None:
    keepalive = Keepalive(100.0, sent=90.0, heard=91.0, pinged=90.0)
    keepalive.answered()
    assert not keepalive.is_dead(1000.0)
