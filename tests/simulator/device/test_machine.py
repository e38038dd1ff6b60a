"""Whatever the platform, the clock and the hand that issues secrets do, in any order, the device stays sound."""

from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from simulator.device.actions import CloseLink, OpenLink, WakeAt
from simulator.device.backoff import Backoff, Shape
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
from simulator.device.lifecycle import Device, State
from simulator.device.profiles import PROFILES, Profile

Rule = Callable[..., Any]
RESTING = (State.WAITING, State.LOCKED_OUT, State.HALTED)

flags = st.booleans()
any_profile = st.sampled_from([*PROFILES.values()]) | st.builds(
    Profile,
    name=st.just("any"),
    source=st.just("hypothesis"),
    backoff=st.builds(Backoff, st.sampled_from(Shape)),
    reconnects_at_once=flags,
    forgets_failures=flags,
    halts_on_first_refusal=flags,
    halts_when_not_allowed=flags,
)


def in_state(*states: State) -> Callable[[Rule], Rule]:
    """The rule holds for a device in one of these states."""
    return precondition(lambda machine: machine.device.state in states)


class AnyPlatform(RuleBasedStateMachine):
    """Drives a device and keeps its own books of what it may hold and what was refused.

    `current` and `staged` are the secrets by slot; `blamed` are those refused for `credential` in this round.
    """

    device: Device

    @initialize(fallback=st.sampled_from(Fallback), profile=any_profile, two_slots=flags)
    def provision(self, fallback: Fallback, profile: Profile, two_slots: bool) -> None:
        secondary = "secret-s" if two_slots else None
        self.device = Device("d1", Keyring.of("secret-p", secondary, fallback), profile, seed=7)
        self.slots = [Slot.PRIMARY] if fallback is Fallback.PRIMARY_ONLY else list(Slot)
        self.now = 0.0
        self.timers: list[WakeAt] = []
        self.opened: dict[int, Candidate] = {}
        self.current: dict[Slot, str] = {Slot.PRIMARY: "secret-p"} | ({Slot.SECONDARY: "secret-s"} if two_slots else {})
        self.staged: dict[Slot, str] = {}
        self.last_issued: dict[Slot, str] = {}
        self.issued = ["secret-p", "secret-s"]
        self.blamed: set[str] = set()
        self.was_accepted = False

    # -- the world

    @in_state(State.IDLE, State.STOPPED)
    @rule()
    def start(self) -> None:
        self.blamed.clear()
        self.was_accepted = False
        self.send(Started())
        assert self.device.state is State.CONNECTING

    @precondition(lambda self: self.device.state is not State.STOPPED)
    @rule()
    def stop(self) -> None:
        ended = self.device.attempt
        assert self.send(Stopped()) == [CloseLink(ended)]
        assert self.device.state is State.STOPPED
        assert ended != self.device.attempt

    @in_state(State.CONNECTING)
    @rule()
    def accept(self) -> None:
        presented = self.opened[self.device.attempt]
        if presented.staged:
            self.current[presented.slot] = presented.secret
            if self.staged.get(presented.slot) == presented.secret:
                del self.staged[presented.slot]
        self.blamed.clear()
        self.was_accepted = True
        self.send(Accepted(self.device.attempt))
        assert self.device.state is State.ONLINE

    @in_state(State.CONNECTING, State.ONLINE)
    @rule()
    def refuse_the_secret(self) -> None:
        self.blamed.add(self.opened[self.device.attempt].secret)
        left = self.presentable() - self.blamed
        actions = self.send(Refused(self.device.attempt, Cause.CREDENTIAL, 4))
        if left:
            (opened,) = actions
            assert isinstance(opened, OpenLink)
            assert opened.candidate.secret in left
        else:
            halts = self.device.profile.halts_on_first_refusal and not self.was_accepted
            assert self.device.state is (State.HALTED if halts else State.LOCKED_OUT)

    @in_state(State.CONNECTING, State.ONLINE)
    @rule(cause=st.sampled_from([Cause.NOT_ALLOWED, Cause.CONFIG]))
    def refuse_the_device(self, cause: Cause) -> None:
        self.send(Refused(self.device.attempt, cause, 5))
        halts = self.device.profile.halts_when_not_allowed
        assert self.device.state is (State.HALTED if halts else State.WAITING)

    @in_state(State.CONNECTING)
    @rule()
    def be_unreachable(self) -> None:
        self.send(Unreachable(self.device.attempt, "nobody there"))
        assert self.device.state is State.WAITING

    @in_state(State.ONLINE)
    @rule()
    def lose_the_link(self) -> None:
        self.send(LinkLost(self.device.attempt, "reset by peer"))
        assert self.device.state is State.WAITING

    @precondition(lambda self: self.timers)
    @rule(data=st.data())
    def fire_any_timer(self, data: st.DataObject) -> None:
        timer = self.timers.pop(data.draw(st.integers(0, len(self.timers) - 1), label="timer"))
        self.now = max(self.now, timer.when)
        if timer.attempt == self.device.attempt:
            self.send(TimerFired(timer.attempt))
            assert self.device.state is State.CONNECTING
        else:
            self.send_in_vain(TimerFired(timer.attempt))

    @precondition(lambda self: any(attempt != self.device.attempt for attempt in self.opened))
    @rule(data=st.data())
    def hear_of_an_older_attempt(self, data: st.DataObject) -> None:
        older = [attempt for attempt in self.opened if attempt != self.device.attempt]
        attempt = data.draw(st.sampled_from(older), label="attempt")
        news: list[Event] = [
            Accepted(attempt),
            Unreachable(attempt, "late"),
            LinkLost(attempt, "late"),
            TimerFired(attempt),
            *(Refused(attempt, cause, 4) for cause in Cause),
        ]
        self.send_in_vain(data.draw(st.sampled_from(news), label="news"))

    @rule(slot=st.sampled_from(Slot), data=st.data())
    def issue(self, slot: Slot, data: st.DataObject) -> None:
        secret = data.draw(st.sampled_from([*self.issued, f"secret-{len(self.issued)}"]), label="secret")
        self.issued.append(secret)
        before = self.device.state
        if (
            self.current.get(slot) != secret or slot in self.staged
        ):  # the current one is staged only in a staged one's place
            self.staged[slot] = secret
        self.last_issued[slot] = secret
        self.blamed.clear()
        self.send(SecretIssued(slot, secret))
        left = before in (State.LOCKED_OUT, State.HALTED)
        assert self.device.state is (State.CONNECTING if left else before)

    # -- the device's side

    def send(self, event: Event) -> list[object]:
        actions = self.device.handle(event, self.now)
        for action in actions:
            match action:
                case OpenLink(attempt, candidate):
                    assert attempt == self.device.attempt > max(self.opened, default=0)
                    assert candidate == self.device.presented
                    assert candidate.slot in self.slots
                    self.opened[attempt] = candidate
                case WakeAt(attempt, when):
                    assert attempt == self.device.attempt
                    assert when >= self.now
                    self.timers.append(action)
        if self.device.state is State.LOCKED_OUT:
            assert self.presentable() <= self.blamed, "locked out with a secret that was not refused"
        if self.device.state in RESTING:
            self.blamed.clear()
            assert self.device.keyring.next() == self.device.keyring.candidates()[0], "a secret is blamed still"
        return list(actions)

    def send_in_vain(self, event: Event) -> None:
        before = repr(self.device), self.device.keyring.held, self.device.keyring.next()
        assert self.device.handle(event, self.now) == []
        assert (repr(self.device), self.device.keyring.held, self.device.keyring.next()) == before

    def presentable(self) -> set[str]:
        return {held[slot] for held in (self.current, self.staged) for slot in self.slots if slot in held}

    # -- what always holds

    @invariant()
    def holds_what_it_was_given_and_proved(self) -> None:
        held = self.device.keyring.held
        assert 1 <= len(held) <= 4
        assert len({(one.slot, one.staged) for one in held}) == len(held)
        assert {one.slot: one.secret for one in held if not one.staged} == self.current
        assert {one.slot: one.secret for one in held if one.staged} == self.staged

    @invariant()
    def never_loses_what_it_was_given_last(self) -> None:
        held = {(one.slot, one.secret) for one in self.device.keyring.held}
        assert self.last_issued.items() <= held

    @invariant()
    def has_one_timer_when_it_waits_and_none_otherwise(self) -> None:
        waits = self.device.state in (State.WAITING, State.LOCKED_OUT)
        assert sum(timer.attempt == self.device.attempt for timer in self.timers) == waits

    @invariant()
    def has_something_to_present(self) -> None:
        assert self.device.keyring.next() is not None

    @invariant()
    def shows_no_secret(self) -> None:
        assert "secret-" not in repr(self.device)


AnyPlatform.TestCase.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
TestAnyPlatform = AnyPlatform.TestCase
