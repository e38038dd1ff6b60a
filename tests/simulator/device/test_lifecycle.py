"""The device machine: every cell of its table, and the courses of events that once went wrong."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import product

import pytest

from simulator.device.actions import Action, CloseLink, OpenLink, WakeAt
from simulator.device.events import (
    Accepted,
    Cause,
    Event,
    LinkLost,
    Refused,
    SecretIssued,
    Started,
    Stopped,
    TimerFired,
    Unreachable,
)
from simulator.device.keyring import Candidate, Fallback, Keyring, Slot
from simulator.device.lifecycle import TRANSITIONS, Device, IllegalTransition, State, Trigger
from simulator.device.profiles import PROFILES
from tests.simulator.builders import PLAIN, WAIT_S, a_device, accept, bring_to, issue, lose, refuse, tell

NOW = 100.0
NOTHING, OPENS, WAKES, CLOSES = "does nothing", "opens the next link", "sets a timer", "closes the link"

# What the design says, written a second time: not derived from TRANSITIONS.
CELLS: dict[tuple[State, Trigger], tuple[State, str]] = {
    (State.IDLE, Trigger.START): (State.CONNECTING, OPENS),
    (State.IDLE, Trigger.NEW_SECRET): (State.IDLE, NOTHING),
    (State.IDLE, Trigger.STOP): (State.STOPPED, CLOSES),
    (State.CONNECTING, Trigger.ACCEPTED): (State.ONLINE, NOTHING),
    (State.CONNECTING, Trigger.REFUSED_NEXT): (State.CONNECTING, OPENS),
    (State.CONNECTING, Trigger.REFUSED_ALL): (State.LOCKED_OUT, WAKES),
    (State.CONNECTING, Trigger.REFUSED_RETRY): (State.WAITING, WAKES),
    (State.CONNECTING, Trigger.REFUSED_HALT): (State.HALTED, NOTHING),
    (State.CONNECTING, Trigger.UNREACHABLE): (State.WAITING, WAKES),
    (State.CONNECTING, Trigger.NEW_SECRET): (State.CONNECTING, NOTHING),
    (State.CONNECTING, Trigger.STOP): (State.STOPPED, CLOSES),
    (State.ONLINE, Trigger.LOST): (State.WAITING, WAKES),
    (State.ONLINE, Trigger.REFUSED_NEXT): (State.CONNECTING, OPENS),
    (State.ONLINE, Trigger.REFUSED_ALL): (State.LOCKED_OUT, WAKES),
    (State.ONLINE, Trigger.REFUSED_RETRY): (State.WAITING, WAKES),
    (State.ONLINE, Trigger.REFUSED_HALT): (State.HALTED, NOTHING),
    (State.ONLINE, Trigger.NEW_SECRET): (State.ONLINE, NOTHING),
    (State.ONLINE, Trigger.STOP): (State.STOPPED, CLOSES),
    (State.WAITING, Trigger.TIMER): (State.CONNECTING, OPENS),
    (State.WAITING, Trigger.NEW_SECRET): (State.WAITING, NOTHING),
    (State.WAITING, Trigger.STOP): (State.STOPPED, CLOSES),
    (State.LOCKED_OUT, Trigger.TIMER): (State.CONNECTING, OPENS),
    (State.LOCKED_OUT, Trigger.NEW_SECRET): (State.CONNECTING, OPENS),
    (State.LOCKED_OUT, Trigger.STOP): (State.STOPPED, CLOSES),
    (State.HALTED, Trigger.NEW_SECRET): (State.CONNECTING, OPENS),
    (State.HALTED, Trigger.STOP): (State.STOPPED, CLOSES),
    (State.STOPPED, Trigger.START): (State.CONNECTING, OPENS),
    (State.STOPPED, Trigger.NEW_SECRET): (State.STOPPED, NOTHING),
}
# An idle device has presented nothing, so that it cannot have been refused everything.
SENSELESS = (State.IDLE, Trigger.REFUSED_ALL)
MISSING = [cell for cell in product(State, Trigger) if cell not in CELLS and cell != SENSELESS]


def cell_ids(cells: Iterable[tuple[State, Trigger]]) -> list[str]:
    return [f"{state.name}-{trigger.name}" for state, trigger in cells]


def device_for(state: State, trigger: Trigger) -> Device:
    """A device in `state` that takes the event of `event_for` as `trigger`."""
    secondary = "secondary-0" if trigger is Trigger.REFUSED_NEXT else None
    device = a_device(profile=replace(PLAIN, halts_when_not_allowed=state is State.HALTED), secondary=secondary)
    bring_to(device, state)
    device.profile = replace(PLAIN, halts_when_not_allowed=trigger is Trigger.REFUSED_HALT)
    return device


def event_for(trigger: Trigger, attempt: int) -> Event:
    match trigger:
        case Trigger.START:
            return Started()
        case Trigger.STOP:
            return Stopped()
        case Trigger.TIMER:
            return TimerFired(attempt)
        case Trigger.ACCEPTED:
            return Accepted(attempt)
        case Trigger.REFUSED_NEXT | Trigger.REFUSED_ALL:
            return Refused(attempt, Cause.CREDENTIAL, 4)
        case Trigger.REFUSED_RETRY | Trigger.REFUSED_HALT:
            return Refused(attempt, Cause.NOT_ALLOWED, 5)
        case Trigger.UNREACHABLE:
            return Unreachable(attempt, "nobody there")
        case Trigger.LOST:
            return LinkLost(attempt, "reset by peer")
        case Trigger.NEW_SECRET:
            return SecretIssued(Slot.PRIMARY, "primary-1")


def actions_for(what: str, device: Device, attempt: int) -> list[Action]:
    """The actions of a device that was in `attempt` before."""
    if what == OPENS:
        assert device.presented is not None
        return [OpenLink(attempt + 1, device.presented)]
    if what == WAKES:
        return [WakeAt(attempt, NOW + WAIT_S)]
    return [CloseLink(attempt)] if what == CLOSES else []


def test_the_table_has_exactly_the_cells_of_the_design() -> None:
    assert {(state, trigger) for state, row in TRANSITIONS.items() for trigger in row} == set(CELLS)


@pytest.mark.parametrize(("state", "trigger"), CELLS, ids=cell_ids(CELLS))
def test_a_cell_of_the_table_gives_its_state_and_its_actions(state: State, trigger: Trigger) -> None:
    device = device_for(state, trigger)
    attempt = device.attempt
    target, what = CELLS[state, trigger]

    actions = device.handle(event_for(trigger, attempt), NOW)

    assert device.state is target is TRANSITIONS[state][trigger]
    assert actions == actions_for(what, device, attempt)
    assert device.attempt == attempt + (what in (OPENS, CLOSES))


@pytest.mark.parametrize(("state", "trigger"), MISSING, ids=cell_ids(MISSING))
def test_a_missing_cell_is_an_illegal_transition(state: State, trigger: Trigger) -> None:
    device = device_for(state, trigger)
    with pytest.raises(IllegalTransition) as caught:
        device.handle(event_for(trigger, device.attempt), NOW)
    assert str(caught.value) == f"device-1: '{trigger}' while {state}"
    assert device.state is state


# -- regressions: the three bugs that a property test found in the first draft of the machine


def test_a_timer_that_fires_after_a_new_secret_was_acted_on_is_stale() -> None:
    device = bring_to(a_device(), State.CONNECTING)
    (timer,) = device.handle(Refused(device.attempt, Cause.CREDENTIAL, 4), NOW)
    assert isinstance(timer, WakeAt)
    issue(device, Slot.PRIMARY, "primary-1")
    assert device.state is State.CONNECTING

    assert device.handle(TimerFired(timer.attempt), timer.when) == []
    assert device.state is State.CONNECTING


def test_a_refusal_blames_the_secret_on_the_wire_and_not_the_one_issued_meanwhile() -> None:
    device = bring_to(a_device(), State.CONNECTING)
    issue(device, Slot.PRIMARY, "primary-1")

    assert [one.secret for one in refuse(device)] == ["primary-1"]
    refuse(device)
    assert device.state is State.LOCKED_OUT


def test_a_refused_update_blames_the_secret_of_the_registration_and_not_the_one_issued_meanwhile() -> None:
    device = bring_to(a_device(), State.ONLINE)
    issue(device, Slot.PRIMARY, "primary-1")

    assert [one.secret for one in refuse(device)] == ["primary-1"]
    accept(device)
    assert device.state is State.ONLINE
    assert [one.secret for one in device.keyring.held] == ["primary-1"]


# -- what a refusal blames


@pytest.mark.parametrize("cause", [Cause.NOT_ALLOWED, Cause.CONFIG])
def test_a_refusal_for_another_cause_blames_no_secret(cause: Cause) -> None:
    device = bring_to(a_device(secondary="secondary-0"), State.CONNECTING)
    refuse(device, cause)
    assert device.state is State.WAITING
    assert [one.secret for one in tell(device, [TimerFired(device.attempt)])] == ["primary-0"]


def test_a_round_that_ended_without_an_answer_starts_anew() -> None:
    device = bring_to(a_device(secondary="secondary-0"), State.CONNECTING)
    assert [one.secret for one in refuse(device)] == ["secondary-0"]
    tell(device, [Unreachable(device.attempt, "nobody there")])
    assert [one.secret for one in tell(device, [TimerFired(device.attempt)])] == ["primary-0"]
    assert [one.secret for one in refuse(device)] == ["secondary-0"]


def test_a_secret_issued_during_the_last_attempt_of_a_round_lets_every_secret_be_tried_again() -> None:
    device = bring_to(a_device(secondary="secondary-0"), State.CONNECTING)
    refuse(device)
    issue(device, Slot.SECONDARY, "secondary-1")
    presented = [one.secret for _ in range(3) for one in refuse(device)]
    assert presented == ["primary-0", "secondary-1"]
    assert device.state is State.LOCKED_OUT


def test_a_device_that_only_knows_its_primary_is_locked_out_at_once() -> None:
    device = bring_to(a_device(secondary="secondary-0", fallback=Fallback.PRIMARY_ONLY), State.CONNECTING)
    assert refuse(device) == []
    assert device.state is State.LOCKED_OUT


def test_an_alternating_device_changes_the_slot_with_every_attempt() -> None:
    device = a_device(secondary="secondary-0", fallback=Fallback.ALTERNATE)
    presented = tell(device, [Started()])
    for _ in range(3):
        tell(device, [Unreachable(device.attempt, "nobody there")])
        presented += tell(device, [TimerFired(device.attempt)])
    assert [one.slot for one in presented] == [Slot.PRIMARY, Slot.SECONDARY] * 2


def test_a_locked_out_device_tries_everything_again_when_its_timer_fires() -> None:
    device = bring_to(a_device(secondary="secondary-0"), State.LOCKED_OUT)
    presented = tell(device, [TimerFired(device.attempt)]) + refuse(device)
    assert [one.secret for one in presented] == ["primary-0", "secondary-0"]
    assert refuse(device) == []
    assert device.state is State.LOCKED_OUT


# -- late news


def test_an_idle_device_that_is_refused_is_a_bug_of_its_driver_and_no_failed_assertion() -> None:
    with pytest.raises(IllegalTransition):
        a_device().handle(Refused(0, Cause.CREDENTIAL, 4), NOW)


def late_news(attempt: int) -> list[Event]:
    return [
        Accepted(attempt),
        Refused(attempt, Cause.CREDENTIAL, 4),
        Refused(attempt, Cause.CONFIG, 2),
        Unreachable(attempt, "nobody there"),
        LinkLost(attempt, "reset by peer"),
        TimerFired(attempt),
    ]


@pytest.mark.parametrize("event", late_news(1), ids=lambda event: type(event).__name__)
@pytest.mark.parametrize("state", [State.CONNECTING, State.ONLINE, State.WAITING])
def test_news_of_an_older_attempt_changes_nothing(state: State, event: Event) -> None:
    device = a_device(secondary="secondary-0")
    tell(device, [Started(), Unreachable(1, "nobody there"), TimerFired(1)])
    if state is not State.CONNECTING:
        accept(device)
    if state is State.WAITING:
        lose(device)
    before = repr(device)

    assert device.state is state
    assert device.handle(event, NOW) == []
    assert repr(device) == before


@pytest.mark.parametrize("event", late_news(1), ids=lambda event: type(event).__name__)
@pytest.mark.parametrize("again", [False, True], ids=["stopped", "started again"])
def test_after_a_stop_nothing_of_the_old_link_matters(event: Event, again: bool) -> None:
    device = bring_to(a_device(), State.CONNECTING)
    assert device.attempt == 1
    tell(device, [Stopped(), *([Started()] if again else [])])
    before = repr(device)

    assert device.handle(event, NOW) == []
    assert repr(device) == before


def test_a_stopped_device_takes_a_secret_and_presents_it_when_it_is_started() -> None:
    device = bring_to(a_device(), State.STOPPED)
    assert issue(device, Slot.PRIMARY, "primary-1") == []
    assert [one.secret for one in tell(device, [Started()])] == ["primary-1"]


def test_no_secret_shows_in_the_repr_of_a_device_its_events_or_its_actions() -> None:
    canary = "canary-0123456789"
    device = a_device(primary=canary, secondary=f"{canary}-2")
    event = SecretIssued(Slot.PRIMARY, f"{canary}-3")
    actions = [*device.handle(event, NOW), *device.handle(Started(), NOW)]
    refuse(device)
    shown = [repr(device), repr(device.keyring), repr(event), repr(actions), repr(Candidate(Slot.PRIMARY, canary))]
    assert isinstance(actions[0], OpenLink)
    assert not any("canary" in text for text in shown)


def test_device_that_is_switched_off_and_on_remembers_its_secrets_and_nothing_else() -> None:
    device = Device("d1", Keyring.of("old-secret", "other-secret"), PROFILES["huawei-java"])
    device.handle(Started(), 0.0)
    device.handle(Accepted(1), 0.0)
    device.handle(LinkLost(1, "x"), 0.0)
    device.handle(Stopped(), 1.0)
    (opened,) = device.handle(Started(), 2.0)
    assert isinstance(opened, OpenLink)
    device.handle(Refused(opened.attempt, Cause.CREDENTIAL, 4), 2.0)
    device.handle(Refused(opened.attempt + 1, Cause.CREDENTIAL, 4), 2.0)
    assert device.state is State.HALTED  # as at its very first login, although it was accepted before
