"""What a device holds, in which order it presents it, and what becomes of a secret that was delivered."""

import pytest

from simulator.device.keyring import Candidate, Fallback, Keyring, Slot

P, S = Slot.PRIMARY, Slot.SECONDARY


def ring(fallback: Fallback = Fallback.PRIMARY_THEN_SECONDARY, secondary: str | None = "s0") -> Keyring:
    return Keyring.of("p0", secondary, fallback)


def order(keyring: Keyring) -> list[str]:
    return [one.secret for one in keyring.candidates()]


def held(keyring: Keyring) -> set[tuple[Slot, str, bool]]:
    return {(one.slot, one.secret, one.staged) for one in keyring.held}


def present(keyring: Keyring) -> Candidate:
    candidate = keyring.next()
    assert candidate is not None
    keyring.present(candidate)
    return candidate


def a_round(keyring: Keyring) -> list[str]:
    """Refuse whatever is presented until nothing is left."""
    keyring.rewind()
    presented = []
    while keyring.next() is not None:
        candidate = present(keyring)
        keyring.refuse(candidate)
        presented.append(candidate.secret)
    return presented


def log_in(keyring: Keyring, secret: str) -> None:
    """Let the platform accept this one secret."""
    keyring.rewind()
    while (candidate := present(keyring)).secret != secret:
        keyring.refuse(candidate)
    keyring.accept(candidate)


@pytest.mark.parametrize(
    ("fallback", "plain", "primary_staged", "secondary_staged", "both_staged"),
    [
        (Fallback.PRIMARY_ONLY, "p0", "p1 p0", "p0", "p1 p0"),
        (Fallback.PRIMARY_THEN_SECONDARY, "p0 s0", "p1 p0 s0", "p0 s1 s0", "p1 p0 s1 s0"),
        (Fallback.STICKY_LAST_GOOD, "p0 s0", "p1 p0 s0", "p0 s1 s0", "p1 p0 s1 s0"),
        (Fallback.ALTERNATE, "p0 s0", "p1 s0 p0", "p0 s1 s0", "p1 s1 p0 s0"),
        (Fallback.NEWEST_FIRST, "p0 s0", "p1 p0 s0", "s1 p0 s0", "s1 p1 p0 s0"),
    ],
)
def test_a_policy_presents_its_secrets_in_its_order(
    fallback: Fallback, plain: str, primary_staged: str, secondary_staged: str, both_staged: str
) -> None:
    rounds = []
    for delivered in ([], [P], [S], [P, S]):
        keyring = ring(fallback)
        for slot in delivered:
            keyring.stage(slot, f"{slot[0]}1")
        rounds.append(" ".join(a_round(keyring)))
    assert rounds == [plain, primary_staged, secondary_staged, both_staged]


def test_newest_first_goes_by_the_order_of_delivery_and_keeps_to_it_once_proved() -> None:
    keyring = ring(Fallback.NEWEST_FIRST)
    keyring.stage(S, "s1")
    keyring.stage(P, "p1")
    assert order(keyring) == ["p1", "s1", "p0", "s0"]
    log_in(keyring, "s1")
    assert order(keyring) == ["p1", "s1", "p0"]
    log_in(keyring, "p1")
    assert order(keyring) == ["p1", "s1"]
    keyring.stage(S, "s2")
    assert order(keyring) == ["s2", "p1", "s1"]


def test_each_secret_that_is_delivered_has_the_next_number() -> None:
    keyring = ring(secondary=None)
    for number, slot in enumerate((P, S, P, S), 1):
        keyring.stage(slot, f"{slot}-{number}")
        assert max(one.delivered for one in keyring.held) == number
    log_in(keyring, "primary-3")
    assert {(one.secret, one.delivered) for one in keyring.held} == {("primary-3", 3), ("secondary-4", 4)}


def test_sticky_last_good_stays_with_the_slot_that_was_accepted() -> None:
    keyring = ring(Fallback.STICKY_LAST_GOOD)
    log_in(keyring, "s0")
    assert order(keyring) == ["s0", "p0"]
    keyring.stage(P, "p1")
    assert order(keyring) == ["s0", "p1", "p0"]
    log_in(keyring, "p1")
    assert order(keyring) == ["p1", "s0"]


def test_a_refusal_does_not_move_the_last_good_slot() -> None:
    keyring = ring(Fallback.STICKY_LAST_GOOD)
    log_in(keyring, "s0")
    assert a_round(keyring) == ["s0", "p0"]
    assert a_round(keyring) == ["s0", "p0"]


def test_alternate_changes_the_slot_with_every_attempt_even_after_an_accepted_one() -> None:
    keyring = ring(Fallback.ALTERNATE)
    presented = []
    for _ in range(4):
        candidate = present(keyring)
        keyring.accept(candidate)
        presented.append(candidate.secret)
    assert presented == ["p0", "s0", "p0", "s0"]


def test_alternate_with_one_slot_presents_it_every_time() -> None:
    keyring = ring(Fallback.ALTERNATE, secondary=None)
    assert [a_round(keyring) for _ in range(2)] == [["p0"], ["p0"]]


@pytest.mark.parametrize("fallback", Fallback)
def test_without_a_secondary_every_policy_presents_the_primary(fallback: Fallback) -> None:
    assert a_round(ring(fallback, secondary=None)) == ["p0"]


def test_a_secondary_may_come_later() -> None:
    keyring = ring(secondary=None)
    keyring.stage(S, "s1")
    assert a_round(keyring) == ["p0", "s1"]
    log_in(keyring, "s1")
    assert held(keyring) == {(P, "p0", False), (S, "s1", False)}


def test_a_staged_secret_replaces_the_current_one_only_when_it_is_accepted() -> None:
    keyring = ring()
    keyring.stage(P, "p1")
    log_in(keyring, "p0")
    assert held(keyring) == {(P, "p0", False), (P, "p1", True), (S, "s0", False)}
    log_in(keyring, "p1")
    assert held(keyring) == {(P, "p1", False), (S, "s0", False)}


def test_a_staged_secret_that_is_refused_stays_and_is_tried_first_again() -> None:
    keyring = ring()
    keyring.stage(P, "p1")
    assert a_round(keyring) == ["p1", "p0", "s0"]
    assert a_round(keyring) == ["p1", "p0", "s0"]


def test_a_newer_delivery_takes_the_place_of_the_staged_secret_of_its_slot() -> None:
    keyring = ring()
    keyring.stage(P, "p1")
    keyring.stage(S, "s1")
    keyring.stage(P, "p2")
    assert held(keyring) == {(P, "p0", False), (P, "p2", True), (S, "s0", False), (S, "s1", True)}


def test_a_secret_that_was_on_the_wire_when_a_newer_one_came_is_kept_if_it_is_accepted() -> None:
    keyring = ring()
    keyring.stage(P, "p1")
    on_the_wire = present(keyring)
    keyring.stage(P, "p2")
    keyring.accept(on_the_wire)
    assert held(keyring) == {(P, "p1", False), (P, "p2", True), (S, "s0", False)}


def test_the_current_secret_delivered_again_changes_nothing() -> None:
    keyring = ring()
    before = keyring.held
    keyring.stage(P, "p0")
    assert keyring.held == before


def test_the_current_secret_delivered_again_calls_back_the_staged_one() -> None:
    keyring = ring()
    keyring.stage(P, "p1")
    keyring.stage(P, "p0")
    assert a_round(keyring) == ["p0", "s0"]
    log_in(keyring, "p0")
    assert held(keyring) == {(P, "p0", False), (S, "s0", False)}


def test_the_current_secret_delivered_again_survives_that_the_staged_one_on_the_wire_is_accepted() -> None:
    keyring = ring()
    keyring.stage(P, "p1")
    on_the_wire = present(keyring)
    keyring.stage(P, "p0")
    keyring.accept(on_the_wire)
    assert held(keyring) == {(P, "p1", False), (P, "p0", True), (S, "s0", False)}


def test_a_delivery_lets_everything_be_tried_again() -> None:
    keyring = ring()
    a_round(keyring)
    assert keyring.next() is None
    keyring.stage(S, "s1")
    assert keyring.next() == Candidate(P, "p0")


def test_one_secret_in_both_slots_is_presented_once_a_round() -> None:
    assert a_round(Keyring.of("same", "same")) == ["same"]


def test_the_repr_shows_no_secret_and_not_which_were_refused() -> None:
    keyring = Keyring.of("canary-primary", "canary-secondary")
    keyring.stage(P, "canary-staged")
    keyring.refuse(present(keyring))
    assert "canary" not in repr(keyring)
