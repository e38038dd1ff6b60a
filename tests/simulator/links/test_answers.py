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


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (0x86, Cause.CREDENTIAL),
        (0x87, Cause.NOT_ALLOWED),
        (0x82, Cause.CONFIG),
        (0x84, Cause.CONFIG),
        (0x85, Cause.CONFIG),
    ],
)
def test_only_reason_code_0x86_blames_the_credentials(code: int, cause: Cause) -> None:
    assert outcome(7, ConnAck(code), level=5) == Refused(7, cause, code)


@pytest.mark.parametrize("code", [0x88, 0x89, 0x97, 0x9F])
def test_busy_platform_of_mqtt_5_counts_as_unreachable(code: int) -> None:
    assert isinstance(outcome(7, ConnAck(code), level=5), Unreachable)


def test_kept_session_is_told() -> None:
    assert outcome(7, ConnAck(0, session_present=True)) == Accepted(7, session_present=True)


def test_busy_platform_counts_as_unreachable() -> None:
    assert isinstance(outcome(7, ConnAck(3)), Unreachable)
