"""The books of a killed platform: they accept what may be, and find what must not."""

import pytest

from tests.soak.bookkeeping import GENERATED, Books, Known, Shown

NONE = {"frozen": False, "device_name": None, "description": None, "secondary": None}
ASKED = {**NONE, "primary": {"version": 2, "secret": "two"}}
BEFORE = {**NONE, "primary": {"version": 1, "secret": "one"}}


@pytest.fixture
def books() -> Books:
    """One device whose creation was acknowledged, and a reset that nobody answered."""
    books = Books()
    books.devices["d"] = known = Known("d")
    known.created("one")
    books.ask(known)
    books.acknowledge("d")
    after = books.copy("d")
    after.reset("primary", "two")
    books.ask(after)
    return books


@pytest.mark.parametrize("shown", [BEFORE, ASKED])
def test_unanswered_change_may_be_there_or_not(books: Books, shown: Shown) -> None:
    assert books.compare({"d": shown}) == []
    assert books.devices["d"].is_shown_as(shown)
    assert books.compare({"d": shown}) == []


def test_what_was_there_once_stays_there(books: Books) -> None:
    assert books.compare({"d": ASKED}) == []
    assert len(books.compare({"d": BEFORE})) == 1


def test_acknowledged_change_must_be_there(books: Books) -> None:
    books.acknowledge("d")
    assert len(books.compare({"d": BEFORE})) == 1


def test_refused_change_must_not_be_there(books: Books) -> None:
    books.refuse("d")
    assert len(books.compare({"d": ASKED})) == 1


@pytest.mark.parametrize(
    "shown",
    [
        {**ASKED, "primary": {"version": 2, "secret": "one"}},
        {**ASKED, "primary": {"version": 1, "secret": "two"}},
        {**ASKED, "primary": {"version": 3, "secret": "two"}},
        {**ASKED, "frozen": True},
        {**ASKED, "device_name": "half"},
        {**ASKED, "secondary": {"version": 1, "secret": "two"}},
        {**ASKED, "primary": None},
    ],
)
def test_half_a_change_is_found(books: Books, shown: Shown) -> None:
    assert len(books.compare({"d": shown})) == 1


def test_lost_device_and_device_from_nowhere_are_found(books: Books) -> None:
    problems = books.compare({"e": BEFORE})
    assert len(problems) == 2
    assert "e: from nowhere" in problems


def test_version_that_was_used_twice_is_found(books: Books) -> None:
    """The first secret of version 2 was seen in force; the platform forgot it, and gave its version away again."""
    assert books.compare({"d": ASKED}) == []
    books.devices["d"].slots["primary"] = (1, "one")
    again = books.copy("d")
    again.reset("primary", "three")
    books.ask(again)
    shown = {**ASKED, "primary": {"version": 2, "secret": "three"}}
    assert books.compare({"d": shown}) == ["d: primary version 2 was another secret before"]


def test_secret_that_nobody_was_told_is_learnt(books: Books) -> None:
    after = books.copy("d")
    after.reset("primary", GENERATED)
    books.ask(after)
    assert books.compare({"d": {**ASKED, "primary": {"version": 2, "secret": "made-by-it"}}}) == []
    assert books.devices["d"].slots["primary"] == (2, "made-by-it")


def test_deleted_device_retires_its_secrets_and_lives_anew_from_version_1(books: Books) -> None:
    known = books.copy("d")
    known.deleted()
    assert known.is_shown_as(None)
    assert known.retired == ["one"]
    known.created("again")
    assert (known.life, known.slots) == (2, {"primary": (1, "again")})


@pytest.mark.parametrize(("shown", "problems"), [(("d", "e"), 0), ((), 0), (("e",), 1)])
def test_change_of_several_devices_is_there_for_all_or_for_none(shown: tuple[str, ...], problems: int) -> None:
    books = Books()
    for device_id in ("d", "e"):
        books.devices[device_id] = Known(device_id)
    afters = [books.copy("d"), books.copy("e")]
    for after in afters:
        after.provisioned("one", "other")
    books.ask_together(afters)
    there = {**BEFORE, "secondary": {"version": 1, "secret": "other"}}
    assert len(books.compare(dict.fromkeys(shown, there))) == problems


def test_provisioning_again_counts_on_and_unfreezes() -> None:
    known = Known("d")
    known.provisioned("one", "other")
    known.frozen = True
    known.provisioned("two", "another")
    assert (known.life, known.frozen) == (1, False)
    assert known.slots == {"primary": (2, "two"), "secondary": (2, "another")}
    assert known.retired == ["one", "other"]
