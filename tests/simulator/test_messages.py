"""Payloads of the vendor's device API, read and made."""

from datetime import UTC, datetime
from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.device.keyring import Slot
from simulator.messages import Command, connect_event, ranges, read_command, system_topic

GOOD = {"command_name": "set_secret", "paras": {"secret_type": "SECONDARY", "secret": "abcdefgh", "seq": 7}}


def test_set_secret_hands_over_a_slot_and_a_secret() -> None:
    command = read_command(orjson.dumps(GOOD))
    assert command == Command("set_secret", 0, 7, Slot.SECONDARY, "abcdefgh")
    assert command.response == {"result_code": 0, "response_name": "set_secret_response", "paras": {"seq": 7}}
    assert "abcdefgh" not in repr(command)


def test_other_command_is_answered_with_success_and_does_nothing() -> None:
    assert read_command(b'{"command_name": "blink"}') == Command("blink")


@pytest.mark.parametrize(
    "paras",
    [
        {},
        {"secret_type": "PRIMARY"},
        {"secret_type": "TERTIARY", "secret": "abcdefgh"},
        {"secret_type": 1, "secret": "x"},
    ],
)
def test_set_secret_that_makes_no_sense_has_result_code_1(paras: object) -> None:
    assert read_command(orjson.dumps({"command_name": "set_secret", "paras": paras})).result_code == 1


@given(st.binary(max_size=60))
def test_any_payload_is_answered(payload: bytes) -> None:
    assert read_command(payload).result_code in (0, 1)


def test_connect_event_has_the_vendors_shape() -> None:
    body = connect_event("d1", datetime(2026, 11, 21, 9, 30, tzinfo=UTC))
    (service,) = body["services"]
    assert (service["service_id"], service["event_type"]) == ("$log", "log_report")
    assert service["event_time"] == "20261121T093000Z"
    assert service["paras"]["timestamp"] == "1795253400000"


def test_topics_are_the_devices_own() -> None:
    assert system_topic("d1", "events/up") == "$oc/devices/d1/sys/events/up"


@given(st.sets(st.integers(1, 60)))
def test_ranges_hold_exactly_the_numbers_and_never_touch(numbers: set[int]) -> None:
    folded = list(ranges(sorted(numbers)))
    assert {one for first, last in folded for one in range(first, last + 1)} == numbers
    assert all(later[0] - earlier[1] > 1 for earlier, later in pairwise(folded))
