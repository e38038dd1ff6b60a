"""The runner's ledger: which secret a reset sends and a delivery hands over, in every order of the two."""

import re
from copy import deepcopy

from hypothesis import given
from hypothesis import strategies as st

from simulator.device.keyring import Slot
from simulator.ledger import Identity, Ledger

P, S = Slot.PRIMARY, Slot.SECONDARY
D = "device-1"


def ledger(seed: int = 1) -> Ledger:
    """A ledger that knows one device with two secrets."""
    book = Ledger(seed)
    book.enrol(Identity(D, "primary-0", "secondary-0"))
    return book


def reset(book: Ledger, slot: Slot = P) -> str:
    """A reset that the platform confirms."""
    secret = book.secret_for_reset(D, slot)
    book.reset_answered(D, slot, secret)
    return secret


def deliver(book: Ledger, slot: Slot = P) -> str:
    secret = book.secret_for_delivery(D, slot)
    book.delivered(D, slot, secret)
    return secret


def test_the_same_seed_draws_the_same_secrets_in_whatever_order() -> None:
    forward, backward = Ledger(7), Ledger(7)
    names = [f"device-{number}" for number in range(20)]
    drawn = {name: forward.draw_identity(name, Slot) for name in names}
    assert drawn == {name: backward.draw_identity(name, Slot) for name in reversed(names)}
    assert [forward.secret_for_reset(D, S) for _ in range(3)] == [backward.secret_for_reset(D, S) for _ in range(3)]


def test_seed_device_slot_and_number_each_change_the_secret() -> None:
    drawn = [
        book.secret_for_reset(name, slot)
        for book in (Ledger(1), Ledger(2))
        for name in ("device-1", "device-2")
        for slot in Slot
        for _ in range(3)
    ]
    assert len(set(drawn)) == len(drawn) == 24


@given(st.integers(), st.from_regex(r"[A-Za-z0-9_-]{1,40}", fullmatch=True), st.sampled_from(Slot))
def test_a_drawn_secret_is_one_that_the_platform_takes(seed: int, device_id: str, slot: Slot) -> None:
    assert re.fullmatch(r"[0-9a-f]{32}", Ledger(seed).secret_for_reset(device_id, slot))


def test_a_drawn_device_has_a_secret_in_each_slot_that_was_asked_for() -> None:
    assert Ledger(1).draw_identity(D, [P]).secondary is None
    both = Ledger(1).draw_identity(D, Slot)
    assert both.secondary is not None
    assert both.primary == Ledger(1).draw_identity(D, [P]).primary


def test_a_delivery_after_a_reset_hands_over_what_the_reset_set() -> None:
    book = ledger()
    assert deliver(book) != "primary-0"
    secret = reset(book := ledger())
    assert deliver(book) == secret


def test_a_reset_after_a_delivery_ahead_sends_exactly_what_was_delivered() -> None:
    book = ledger()
    ahead = deliver(book)
    assert reset(book) == ahead
    assert reset(book) != ahead


def test_a_second_delivery_before_the_reset_hands_over_the_same_secret_again() -> None:
    book = ledger()
    ahead = deliver(book)
    assert deliver(book) == ahead
    assert reset(book) == ahead


def test_a_delivery_that_did_not_arrive_is_repeated_with_the_same_secret() -> None:
    book = ledger()
    secret = book.secret_for_delivery(D, P)
    assert book.secret_for_delivery(D, P) == secret
    assert reset(book) == secret
    assert deliver(book) == secret


def test_a_reset_that_failed_after_a_delivery_ahead_is_repeated_with_the_same_secret() -> None:
    book = ledger()
    ahead = deliver(book)
    assert book.secret_for_reset(D, P) == book.secret_for_reset(D, P) == ahead


def test_a_delivery_when_both_sides_agree_draws_the_next_secret() -> None:
    book = ledger()
    first = deliver(book)
    reset(book)
    second = deliver(book)
    assert second not in ("primary-0", first)
    assert reset(book) == second


def test_a_delivery_after_two_resets_hands_over_the_later_one_again_and_again_until_it_arrives() -> None:
    book = ledger()
    reset(book)
    last = reset(book)
    assert book.secret_for_delivery(D, P) == book.secret_for_delivery(D, P) == deliver(book) == last


def test_a_secret_that_the_platform_made_up_is_what_a_delivery_hands_over() -> None:
    book = ledger()
    book.reset_answered(D, P, "made-up-by-the-platform")
    assert deliver(book) == "made-up-by-the-platform"


def test_a_secret_that_the_platform_made_up_voids_what_was_delivered_ahead() -> None:
    book = ledger()
    ahead = deliver(book)
    book.reset_answered(D, P, "made-up-by-the-platform")
    assert deliver(book) == "made-up-by-the-platform"
    assert reset(book) != ahead


def test_the_slots_of_a_device_are_kept_apart() -> None:
    book = ledger()
    ahead = deliver(book, P)
    assert reset(book, S) != ahead
    assert reset(book, P) == ahead
    assert deliver(book, S) not in (ahead, "secondary-0")


def test_a_slot_that_was_empty_can_be_reset_and_delivered_or_the_other_way_round() -> None:
    for act, then in ((reset, deliver), (deliver, reset)):
        book = Ledger(1)
        book.enrol(Identity(D, "primary-0"))
        assert act(book, S) == then(book, S)


@given(st.lists(st.sampled_from(["reset", "reset lost", "made up", "deliver", "deliver lost"]), max_size=30))
def test_device_and_platform_are_never_further_apart_than_one_reset_or_one_delivery(steps: list[str]) -> None:
    book, platform, device = ledger(), "primary-0", "primary-0"
    for number, step in enumerate(steps):
        match step:
            case "reset":
                platform = reset(book)
            case "reset lost":
                book.secret_for_reset(D, P)
            case "made up":
                book.reset_answered(D, P, platform := f"made-up-{number}")
            case "deliver":
                device = deliver(book)
            case "deliver lost":
                book.secret_for_delivery(D, P)
        repaired = (
            deepcopy(book).secret_for_reset(D, P) == device or deepcopy(book).secret_for_delivery(D, P) == platform
        )
        assert platform == device or repaired


def test_the_repr_of_an_identity_shows_no_secret() -> None:
    assert "canary" not in repr(Identity(D, "canary-primary", "canary-secondary"))
