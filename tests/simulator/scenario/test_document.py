"""YAML into data and places: what is read, and what is refused with its line and column."""

import json

import pytest

from simulator.scenario.document import KEY, read
from simulator.scenario.errors import ScenarioError


def problem(text: str) -> str:
    with pytest.raises(ScenarioError) as caught:
        read(text, "f.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("# only a comment", None),
        ("a: 1", {"a": 1}),
        ("a: [yes, no, on, off, y]", {"a": ["yes", "no", "on", "off", "y"]}),
        ("a: [true, False, TRUE]", {"a": [True, False, True]}),
        ("a: [~, null, ]", {"a": [None, None]}),
        ("a:", {"a": None}),
        ("a: [017, +5, -3, 1:30, 1_000, 0x1F]", {"a": [17, 5, -3, "1:30", "1_000", "0x1F"]}),
        ("a: [1.5, 1e3, .5, 5., .inf]", {"a": [1.5, 1000.0, 0.5, 5.0, ".inf"]}),
        ("a: 2026-01-01", {"a": "2026-01-01"}),
        ("a: '5'", {"a": "5"}),
        ("5: a", {"5": "a"}),
        ("<<: a", {"<<": "a"}),
        ("a: 3.1.1", {"a": "3.1.1"}),
        ("a: 99999999999999999999999", {"a": 1e23}),
        ("a: |\n  two\n  lines\n", {"a": "two\nlines\n"}),
    ],
)
def test_plain_data_is_read(text: str, value: object) -> None:
    assert read(text, "f").value == value


def test_json_is_read_with_letters_beyond_the_basic_plane() -> None:
    value = {"name": "\U0001f511 / é", "list": [1, 2.5, True, None]}
    assert read(json.dumps(value, indent=2), "f.json").value == value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3", "f.yaml:3:1: the key 'a' is here twice, first in line 1\n    a: 3\n    ^"),
        ("a: &x 1\nb: *x", "f.yaml:2:4: an alias (*x) is not allowed; write the value out\n    b: *x\n       ^"),
        ("a: !env X", "f.yaml:1:4: a tag (!env) is not allowed\n    a: !env X\n       ^"),
        ("a:\n\tb: 1", "f.yaml:2:1: a tab, where YAML takes only spaces\n     b: 1\n    ^"),
        ("a: [1", "f.yaml:1:6: not valid YAML: expected ',' or ']', but got '<stream end>'\n    a: [1\n         ^"),
        ("? [1]\n: 2", "f.yaml:1:3: a key is a word, not a list or a mapping\n    ? [1]\n      ^"),
        ("a: \x07", "f.yaml:1:4: the character '\\x07' is not allowed\n    a:\n       ^"),
        ('a: "\\ud83d"', 'f.yaml:1:4: half of a surrogate pair is no character\n    a: "\\ud83d"\n       ^'),
        ('a: "\\UFFFFFFFF"', 'f.yaml:1:7: a number out of range\n    a: "\\UFFFFFFFF"\n          ^'),
        ("a: 1\n---\nb: 2", "f.yaml:2:1: not valid YAML: but found another document\n    ---\n    ^"),
    ],
)
def test_what_a_scenario_may_not_say_is_shown_in_its_line(text: str, expected: str) -> None:
    assert problem(text) == expected


def test_every_duplicate_key_is_told() -> None:
    assert problem("{a: 1, a: 2, b: {c: 1, c: 2}}").count("is here twice") == 2


@pytest.mark.parametrize("text", ["[" * 5000, "- " * 5000, "{a: " * 5000], ids=["lists", "dashes", "mappings"])
def test_deep_nesting_is_refused(text: str) -> None:
    assert "nested more than 32 levels deep" in problem(text)


def test_a_long_line_is_shown_around_the_place() -> None:
    lines = problem("a: [" + "1, " * 1000 + "!x 1]").splitlines()
    assert lines[0] == "f.yaml:1:3005: a tag (!x) is not allowed"
    assert len(lines[1]) <= 124
    assert lines[1][lines[2].index("^") :] == "!x 1]"


def test_places_are_those_of_keys_values_and_text() -> None:
    document = read("a:\n  - b: 'text'\n", "f")
    place = document.place(("a", 0, "b"))
    assert (place.row, place.column, place.text_column) == (1, 7, 8)
    assert document.place(("a", 0, "b", KEY)).column == 4
    assert document.place(("a", 0, "b", "below", 5)) == place


def test_a_text_with_escapes_is_pointed_at_as_a_whole() -> None:
    assert read('a: "x\\ty"', "f").place(("a",)).text_column is None
