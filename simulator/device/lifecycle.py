"""The device state machine: every transition stands in TRANSITIONS, nowhere else."""

from dataclasses import dataclass
from enum import StrEnum

from simulator.device.actions import Action, CloseLink, OpenLink, WakeAt
from simulator.device.backoff import jitter
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
from simulator.device.keyring import Candidate, Keyring
from simulator.device.profiles import Profile


class State(StrEnum):
    IDLE = "idle"
    CONNECTING = "connecting"
    ONLINE = "online"
    WAITING = "waiting"
    LOCKED_OUT = "locked_out"
    HALTED = "halted"
    STOPPED = "stopped"


class Trigger(StrEnum):
    START = "start"
    STOP = "stop"
    TIMER = "timer"
    ACCEPTED = "accepted"
    REFUSED_NEXT = "refused, another secret left"
    REFUSED_ALL = "every secret refused"
    REFUSED_RETRY = "refused, retries"
    REFUSED_HALT = "refused, gives up"
    UNREACHABLE = "unreachable"
    LOST = "link lost"
    NEW_SECRET = "new secret"


S, T = State, Trigger

TRANSITIONS: dict[State, dict[Trigger, State]] = {
    S.IDLE: {T.START: S.CONNECTING, T.NEW_SECRET: S.IDLE, T.STOP: S.STOPPED},
    S.CONNECTING: {
        T.ACCEPTED: S.ONLINE,
        T.REFUSED_NEXT: S.CONNECTING,
        T.REFUSED_ALL: S.LOCKED_OUT,
        T.REFUSED_RETRY: S.WAITING,
        T.REFUSED_HALT: S.HALTED,
        T.UNREACHABLE: S.WAITING,
        T.NEW_SECRET: S.CONNECTING,
        T.STOP: S.STOPPED,
    },
    S.ONLINE: {
        T.LOST: S.WAITING,
        T.REFUSED_NEXT: S.CONNECTING,  # a registration's update can be refused while the device is online
        T.REFUSED_ALL: S.LOCKED_OUT,
        T.REFUSED_RETRY: S.WAITING,
        T.REFUSED_HALT: S.HALTED,
        T.NEW_SECRET: S.ONLINE,
        T.STOP: S.STOPPED,
    },
    S.WAITING: {T.TIMER: S.CONNECTING, T.NEW_SECRET: S.WAITING, T.STOP: S.STOPPED},
    S.LOCKED_OUT: {T.TIMER: S.CONNECTING, T.NEW_SECRET: S.CONNECTING, T.STOP: S.STOPPED},
    S.HALTED: {T.NEW_SECRET: S.CONNECTING, T.STOP: S.STOPPED},
    S.STOPPED: {T.START: S.CONNECTING, T.NEW_SECRET: S.STOPPED},
}


class IllegalTransition(Exception):
    """An event that the table has no cell for: a bug in whoever drives the device."""


@dataclass(slots=True)
class Device:
    """One simulated device. `handle` is its only door."""

    device_id: str
    keyring: Keyring
    profile: Profile
    seed: int = 0
    state: State = State.IDLE
    attempt: int = 0
    presented: Candidate | None = None
    _failures: int = 0
    _waited_s: float = 0.0
    _was_accepted: bool = False

    def handle(self, event: Event, now: float) -> list[Action]:
        """Apply one event at `now` (monotonic seconds); return what must be done about it.

        News of an older attempt changes nothing. IllegalTransition tells of a bug in the caller.
        """
        if getattr(event, "attempt", self.attempt) != self.attempt:
            return []
        trigger = self._trigger(event)
        source = self.state
        target = TRANSITIONS[source].get(trigger)
        if target is None:
            raise IllegalTransition(f"{self.device_id}: '{trigger}' while {source}")
        self.state = target
        return self._entered(source, target, trigger, now)

    def _trigger(self, event: Event) -> Trigger:
        match event:
            case Accepted():
                return Trigger.ACCEPTED
            case LinkLost():
                return Trigger.LOST
            case Unreachable():
                return Trigger.UNREACHABLE
            case Refused(cause=cause):
                return self._refused(cause)
            case TimerFired():
                return Trigger.TIMER
            case SecretIssued(slot, secret):
                self.keyring.stage(slot, secret)
                return Trigger.NEW_SECRET
            case Started():
                return Trigger.START
            case Stopped():
                return Trigger.STOP

    def _refused(self, cause: Cause) -> Trigger:
        """Blame the secret that was presented, and only for a credential refusal."""
        if cause is not Cause.CREDENTIAL:
            return Trigger.REFUSED_HALT if self.profile.halts_when_not_allowed else Trigger.REFUSED_RETRY
        if self.presented is not None:
            self.keyring.refuse(self.presented)
        if self.keyring.next():
            return Trigger.REFUSED_NEXT
        if self.profile.halts_on_first_refusal and not self._was_accepted:
            return Trigger.REFUSED_HALT
        return Trigger.REFUSED_ALL

    def _entered(self, source: State, target: State, trigger: Trigger, now: float) -> list[Action]:
        if source is target and trigger is Trigger.NEW_SECRET:
            return []
        match target:
            case State.CONNECTING:
                if trigger is Trigger.START:
                    self._forget()
                return [self._open_link()]
            case State.ONLINE:
                self._accept()
                return []
            case State.WAITING | State.LOCKED_OUT:
                self.keyring.rewind()
                return [WakeAt(self.attempt, now + self._wait_s(lost=trigger is Trigger.LOST))]
            case State.HALTED:
                self.keyring.rewind()
                return []
            case _:
                ended, self.attempt = self.attempt, self.attempt + 1  # what the old link still tells is void
                return [CloseLink(ended)]

    def _forget(self) -> None:
        """A device that is switched on keeps its secrets, and remembers nothing else."""
        self.keyring.rewind()
        self._failures = 0
        self._waited_s = 0.0
        self._was_accepted = False

    def _open_link(self) -> OpenLink:
        self.attempt += 1
        candidate = self.keyring.next()
        assert candidate is not None, "a keyring always has a candidate at the start of a round"
        self.keyring.present(candidate)
        self.presented = candidate
        return OpenLink(self.attempt, candidate)

    def _accept(self) -> None:
        assert self.presented is not None, "accepted before anything was presented"
        self.keyring.accept(self.presented)
        self._was_accepted = True
        if self.profile.forgets_failures:
            self._failures = 0
            self._waited_s = 0.0

    def _wait_s(self, *, lost: bool) -> float:
        if lost and self.profile.reconnects_at_once:
            return 0.0
        chance = jitter(self.seed, self.device_id, self.attempt)
        self._waited_s = self.profile.backoff.delay_s(self._failures, self._waited_s, chance)
        self._failures += 1
        return self._waited_s
