"""Moments in the vendor's formats."""

from datetime import timedelta

from broker.vendor_time import to_the_millisecond, to_the_second
from tests.broker.rig import START


def test_two_formats_are_the_vendors() -> None:
    utc = START + timedelta(microseconds=7_999)
    assert to_the_second(utc) == "20261121T193000Z"
    assert to_the_millisecond(utc) == "2026-11-21T19:30:00.007Z"
