"""What each CONNACK return code means for a device."""

import pytest

from simulator.device.events import Accepted, Cause, Refused, Unreachable
from simulator.links.answers import outcome
from wire.mqtt import ConnAck


def test_zero_accepts() -> None:
    assert outcome(7, ConnAck(0)) == Accepted(7)


@pytest.mark.parametrize(
    ("code", "cause"),
    [(1, Cause.CONFIG), (2, Cause.CONFIG), (4, Cause.CREDENTIAL), (5, Cause.NOT_ALLOWED), (99, Cause.CONFIG)],
)
def test_only_code_4_blames_the_credentials(code: int, cause: Cause) -> None:
    assert outcome(7, ConnAck(code)) == Refused(7, cause, code)


def test_busy_platform_counts_as_unreachable() -> None:
    assert isinstance(outcome(7, ConnAck(3)), Unreachable)
