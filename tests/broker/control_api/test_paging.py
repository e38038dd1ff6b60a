"""Pages and spans of time, for every list that the vendor cuts into pages."""

from datetime import timedelta

import pytest

from broker.control_api.errors import InvalidTime, LimitOutOfRange, TimesOutOfOrder
from broker.control_api.paging import Page, Span, read_query
from broker.errors import InvalidInput
from tests.broker.rig import START

IDS = [f"{number:024x}" for number in range(10, 16)]


def test_page_goes_on_after_its_marker() -> None:
    first = read_query(Page, {"limit": "2"}).cut(IDS)
    assert first == [IDS[5], IDS[4]]
    assert read_query(Page, {"marker": first[-1].upper(), "offset": "1"}).cut(IDS) == [IDS[2], IDS[1], IDS[0]]
    assert read_query(Page, {"marker": IDS[0]}).cut(IDS) == []
    assert len(read_query(Page, {}).cut([f"{number:024x}" for number in range(60)])) == 10


def test_span_includes_the_seconds_that_it_names() -> None:
    span = read_query(Span, {"start_time": "20261121T193000Z", "end_time": "20261121T193001Z"})
    inside = [START + timedelta(seconds=seconds) for seconds in (-0.001, 0, 1.999, 2)]
    assert [span.covers(utc) for utc in inside] == [False, True, True, False]
    assert read_query(Span, {}).covers(START)


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"limit": "0"}, LimitOutOfRange),
        ({"limit": "51"}, LimitOutOfRange),
        ({"offset": "501"}, InvalidInput),
        ({"marker": "0"}, InvalidInput),
    ],
)
def test_page_that_cannot_be_is_refused(parameters: dict[str, str], error: type[InvalidInput]) -> None:
    with pytest.raises(error):
        read_query(Page, parameters)


def test_span_that_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidTime):
        read_query(Span, {"end_time": "2026-11-21"})
    with pytest.raises(TimesOutOfOrder):
        read_query(Span, {"start_time": "20261121T193001Z", "end_time": "20261121T193000Z"})
