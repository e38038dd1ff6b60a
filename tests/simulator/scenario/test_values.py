"""Durations, shares and the other words of a scenario file."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.scenario.values import LONGEST_S, said, seconds, share, signed_seconds

DURATION_NEEDED = "a duration is needed, e.g. 500ms, 30s, 2m30s or 25h, not "


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("500ms", 0.5), ("30s", 30), ("25h", 90_000), ("2m30s", 150), ("1.5s", 1.5), ("250us", 0.000_25),
        ("1d", 86_400), ("0s", 0), ("+3s", 3), (0, 0), (5, 5), (0.25, 0.25),
    ],
)  # fmt: skip
def test_a_duration_is_seconds(value: object, expected: float) -> None:
    assert seconds(value) == expected


@pytest.mark.parametrize("value", ["-2h", "-500ms", -1, -0.5])
def test_a_negative_duration_is_refused_where_it_has_no_meaning(value: object) -> None:
    assert signed_seconds(value) < 0
    with pytest.raises(ValueError, match=r"^a duration of 0 or more is needed, not "):
        seconds(value)


@pytest.mark.parametrize(
    "value",
    ["", "5", "s", "5 parsecs", "5parsecs", "00:01:30", "1mm", "1h junk 5s", "1h 30m", "1..5s", "٣s", "5s\n", "--5s",
     None, True, [5], {"s": 5}],
)  # fmt: skip
def test_what_is_no_duration_is_refused(value: object) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        signed_seconds(value)
    assert str(caught.value) == DURATION_NEEDED + said(value)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 10**400, LONGEST_S * 2, "9" * 400 + "s", "99999999h"])
def test_a_duration_beyond_ten_years_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"^a duration of at most ten years is needed, not "):
        signed_seconds(value)


@given(st.text(max_size=20) | st.text(alphabet="0123456789.+-hmsud ", max_size=12))
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    try:
        assert abs(signed_seconds(text)) <= LONGEST_S
    except ValueError as error:
        assert str(error).startswith("a duration")  # noqa: PT017 - either is right


@pytest.mark.parametrize(
    ("value", "expected"), [("70%", 0.7), ("100%", 1), ("0%", 0), ("12.5%", 0.125), (0.7, 0.7), (1, 1), (0, 0)]
)
def test_a_share_is_a_part_of_one(value: object, expected: float) -> None:
    assert share(value) == expected


@pytest.mark.parametrize("value", ["70", "-5%", "70 %", "%", "", None, True, [1]])
def test_what_is_no_share_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"^a share is needed, e\.g\. 70% or 0\.7, not "):
        share(value)


@pytest.mark.parametrize("value", ["101%", 70, -0.1, 1.01, math.inf, math.nan, 10**400, "9" * 400 + "%"])
def test_a_share_outside_0_to_100_percent_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"^a share is between 0% and 100% \(or 0 and 1\), not "):
        share(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, "null"), (True, "true"), ("x", "'x'"), (5, "5"), ([1], "a list"), ({"a": 1}, "a mapping")],
)
def test_a_value_is_said_as_its_author_wrote_it(value: object, expected: str) -> None:
    assert said(value) == expected
