"""The judge of the races: it has nothing against a run that is right, and finds each wrong that is planted in it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.broker.races.checker import violations
from tests.broker.races.facts import Attempt, Call, Facts, Record

OLD, NEW, OTHER, BORN = "old-mark", "new-mark", "other-mark", "born-mark"


@dataclass(slots=True)
class Story:
    """A right run of one device: reset with force, frozen and back, deleted and created."""

    facts: Facts
    records: list[Record]

    def record(self, kind: str, nth: int = 0) -> Record:
        return [one for one in self.records if one["kind"] == kind][nth]

    def call(self, kind: str) -> Call:
        return next(one for one in self.facts.calls if one.kind == kind)

    def attempt(self, peer: str) -> Attempt:
        return next(one for one in self.facts.attempts if one.peer == peer)

    def without(self, kind: str, nth: int = 0) -> None:
        self.records.remove(self.record(kind, nth))

    def found(self) -> str:
        return "\n".join(violations(self.facts, self.records))


def session(kind: str, t: float, peer: str, slot: str, version: int, **more: Any) -> Record:
    return {"kind": kind, "t": t, "device": "d", "peer": peer, "slot": slot, "version": version, **more}


def secret(version: int, fingerprint: str) -> dict[str, object]:
    return {"version": version, "fingerprint": fingerprint}


def right_records() -> list[Record]:
    def of_device(kind: str, t: float, **more: Any) -> Record:
        return {"kind": kind, "t": t, "device": "d", **more}

    reset = {"slot": "primary", "version": 2, "fingerprint": NEW, "forced": True, "cut": True, "request_id": "q"}
    return [
        {"kind": "header", "t": 0.0},
        of_device("provisioned", 0.1, primary=secret(1, OLD), secondary=secret(1, OTHER)),
        session("accepted", 1.1, "old-1", "primary", 1),
        of_device("uplink", 1.2, qos=1, first=1, last=3),
        session("detached", 2.1, "old-1", "primary", 1, reason="take_over"),
        session("accepted", 2.1, "other-1", "secondary", 1),
        of_device("uplink", 2.2, qos=1, first=11, last=12),
        session("detached", 3.1, "other-1", "secondary", 1, reason="forced_reset"),
        of_device("reset", 3.1, **reset),
        of_device("refused", 4.1, peer="old-2"),
        session("accepted", 5.1, "new-1", "primary", 2),
        session("detached", 6.1, "new-1", "primary", 2, reason="frozen"),
        of_device("frozen", 6.1),
        of_device("refused", 7.1, peer="frozen-1"),
        of_device("unfrozen", 8.1),
        session("accepted", 9.1, "new-2", "primary", 2),
        session("detached", 10.1, "new-2", "primary", 2, reason="deleted"),
        of_device("deleted", 10.1),
        of_device("refused", 11.1, peer="gone-1"),
        of_device("created", 12.1, primary=secret(1, BORN), secondary=None),
        session("accepted", 13.1, "born-1", "primary", 1),
    ]


def right_facts() -> Facts:
    def attempt(peer: str, fingerprint: str, began: float, code: int, acknowledged: range = range(0)) -> Attempt:
        return Attempt("d", peer, fingerprint, began, began + 0.2, code, set(acknowledged))

    def call(kind: str, sent: float, **more: Any) -> Call:
        return Call(kind, "d", sent, sent + 0.2, 200, **more)

    return Facts(
        [
            attempt("old-1", OLD, 1.0, 0, range(1, 4)),
            attempt("other-1", OTHER, 2.0, 0, range(11, 12)),
            attempt("old-2", OLD, 4.0, 4),
            attempt("new-1", NEW, 5.0, 0),
            attempt("frozen-1", NEW, 7.0, 5),
            attempt("new-2", NEW, 9.0, 0),
            attempt("gone-1", NEW, 11.0, 4),
            attempt("born-1", BORN, 13.0, 0),
        ],
        [
            Call("provisioned", "d", 0.0, 0.0, 200, slot="primary", fingerprint=OLD),
            Call("provisioned", "d", 0.0, 0.0, 200, slot="secondary", fingerprint=OTHER),
            call("reset", 3.0, request_id="q", slot="primary", fingerprint=NEW, forced=True),
            call("frozen", 6.0),
            call("unfrozen", 8.0),
            call("deleted", 10.0),
            call("created", 12.0, slot="primary", fingerprint=BORN),
        ],
    )


@pytest.fixture
def story() -> Story:
    return Story(right_facts(), right_records())


def test_right_run_is_right(story: Story) -> None:
    assert story.found() == ""


def test_session_that_ends_by_itself_or_is_never_answered_is_right(story: Story) -> None:
    story.record("detached", 0)["reason"] = "connection_lost"
    story.attempt("new-1").code, story.attempt("new-1").answered = None, float("inf")
    assert story.found() == ""


def test_unserved_call_leaves_nothing_and_nothing_is_missed(story: Story) -> None:
    story.facts.calls.append(Call("frozen", "d", 7.0, 7.2, 403))
    assert story.found() == ""


def open_at(kind: str, peer: str) -> Callable[[Story], None]:
    def plant(story: Story) -> None:
        story.call(kind).still_open = frozenset({peer})

    return plant


@pytest.mark.parametrize(
    ("kind", "peer"),
    [("reset", "other-1"), ("reset", "old-1"), ("frozen", "new-1"), ("deleted", "new-2")],
)
def test_session_judged_before_must_be_gone_when_the_reply_comes(story: Story, kind: str, peer: str) -> None:
    open_at(kind, peer)(story)
    assert f"{peer}, judged before it, was open when its reply came" in story.found()


@pytest.mark.parametrize(("kind", "peer"), [("reset", "new-1"), ("reset", "old-2"), ("unfrozen", "new-1")])
def test_session_judged_later_or_by_a_call_that_cuts_nobody_may_be_open(story: Story, kind: str, peer: str) -> None:
    open_at(kind, peer)(story)
    assert story.found() == ""


def test_unforced_reset_may_leave_the_session(story: Story) -> None:
    open_at("reset", "other-1")(story)
    story.call("reset").forced = story.record("reset")["forced"] = story.record("reset")["cut"] = False
    story.record("detached", 1).update(t=4.5, reason="connection_lost")
    story.records.sort(key=lambda one: one["t"])
    assert story.found() == ""


def test_retired_secret_must_not_let_in_whatever_the_journal_says(story: Story) -> None:
    story.attempt("old-2").code = 0
    assert "old-2: let in with a secret that was retired 0.8" in story.found()


def test_secret_of_a_deleted_device_must_not_let_in(story: Story) -> None:
    story.attempt("gone-1").code = 0
    assert "gone-1: let in with a secret that was retired 0.8" in story.found()


def test_attempt_that_began_before_the_reply_may_have_the_old_secret(story: Story) -> None:
    late = story.attempt("old-1")
    late.began, late.answered = 1.0, 3.15
    assert story.found() == ""


def test_message_acknowledged_after_the_cut_is_found(story: Story) -> None:
    story.attempt("other-1").acknowledged.add(13)
    assert "other-1: acknowledged outside of its session: [13]" in story.found()


def test_message_recorded_without_a_session_is_found(story: Story) -> None:
    story.records.insert(9, {"kind": "uplink", "t": 3.2, "device": "d", "qos": 1, "first": 13, "last": 13})
    assert "a message without a session" in story.found()


def test_two_sessions_of_one_device_are_found(story: Story) -> None:
    story.without("detached", 0)
    assert "a second session, beside that of old-1" in story.found()


@pytest.mark.parametrize(("nth", "kind"), [(1, "reset"), (2, "frozen"), (3, "deleted")])
def test_session_that_lives_on_is_found(story: Story, nth: int, kind: str) -> None:
    story.without("detached", nth)
    assert f"{kind} of d" in story.found()
    assert "lived on" in story.found()


def test_cut_after_its_reason_is_found(story: Story) -> None:
    place = story.records.index(story.record("reset"))
    story.records[place - 1 : place + 1] = story.records[place - 1 : place + 1][::-1]
    assert "the session of other-1 lived on" in story.found()


def test_cut_without_its_reason_is_found(story: Story) -> None:
    story.record("detached", 0)["reason"] = "forced_reset"
    assert "a session was cut for reset right before" in story.found()


def test_reset_that_tells_the_cut_wrongly_is_found(story: Story) -> None:
    story.record("reset")["cut"] = False
    assert "told wrongly" in story.found()


def test_detached_of_another_session_is_found(story: Story) -> None:
    story.record("detached", 0)["peer"] = "other-1"
    assert "that was not its session: other-1" in story.found()


@pytest.mark.parametrize("change", [{"version": 1}, {"slot": "secondary"}])
def test_version_that_was_not_in_force_is_found(story: Story, change: Record) -> None:
    story.record("accepted", 2).update(change)
    story.record("detached", 2).update(change)
    assert "accepted of d" in story.found()
    assert "was not in force" in story.found()


def test_secret_that_was_not_presented_is_found(story: Story) -> None:
    story.attempt("new-1").fingerprint = "something-else"
    assert "was not presented" in story.found()


@pytest.mark.parametrize("version", [1, 3])
def test_version_that_does_not_count_up_by_one_is_found(story: Story, version: int) -> None:
    story.record("reset")["version"] = version
    assert f"version {version} after 1" in story.found()


def test_refusal_of_a_secret_in_force_is_found(story: Story) -> None:
    story.attempt("old-2").fingerprint = NEW
    assert "refused of d: it presented a secret in force" in story.found()


@pytest.mark.parametrize(("peer", "place"), [("frozen-1", 13), ("gone-1", 18)])
def test_frozen_or_deleted_device_that_comes_in_is_found(story: Story, peer: str, place: int) -> None:
    story.records[place] = session("accepted", story.records[place]["t"], peer, "primary", 2)
    assert f"record {place}, accepted of d: it was frozen or deleted" in story.found()


@pytest.mark.parametrize("kind", ["reset", "frozen", "unfrozen", "deleted", "created"])
def test_served_call_that_is_not_in_the_journal_is_found(story: Story, kind: str) -> None:
    story.without(kind)
    assert f"{kind} of d" in story.found()
    assert "served, and not in the journal" in story.found()


@pytest.mark.parametrize("t", [2.9, 3.3])
def test_change_outside_of_its_call_is_found(story: Story, t: float) -> None:
    story.record("reset")["t"] = t
    assert "not between request and reply" in story.found()


@pytest.mark.parametrize("change", [{"slot": "secondary"}, {"fingerprint": "another"}, {"forced": False}])
def test_reset_that_is_not_the_one_asked_for_is_found(story: Story, change: Record) -> None:
    story.record("reset").update(change)
    assert "the journal says" in story.found()


@pytest.mark.parametrize(
    ("peer", "code", "expected"),
    [
        ("new-1", 4, "new-1: refused, and not so in the journal"),
        ("old-2", 0, "old-2: let in, and not in the journal"),
    ],
)
def test_verdict_that_is_not_the_journals_is_found(story: Story, peer: str, code: int, expected: str) -> None:
    story.attempt(peer).code = code
    assert expected in story.found()


def test_refusal_that_the_journal_does_not_know_is_found(story: Story) -> None:
    story.without("refused", 0)
    assert "old-2: refused, and not so in the journal" in story.found()


def test_journal_out_of_the_order_of_answers_is_found(story: Story) -> None:
    late = story.attempt("new-1")
    late.began, late.answered = 2.5, 2.7
    assert "before new-1, which was answered before it began" in story.found()


def test_attempt_judged_before_a_call_that_was_answered_before_it_is_found(story: Story) -> None:
    late = story.attempt("other-1")
    late.began, late.answered = 3.5, 3.7
    assert "other-1: before reset of d primary with force at 3.000000, which was answered before" in story.found()
