"""One simulated device in the world: performs what its machine asks for, and tells it what its link saw."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

import orjson

from simulator.clock import Clock
from simulator.credentials import fingerprint
from simulator.device.actions import CloseLink, OpenLink, WakeAt
from simulator.device.events import (
    Accepted,
    Event,
    LinkEvent,
    LinkLost,
    Refused,
    SecretIssued,
    Started,
    Stopped,
    TimerFired,
    Unreachable,
)
from simulator.device.keyring import Candidate, Slot
from simulator.device.lifecycle import Device, State
from simulator.dialects.dialect import Dialect, Uplink
from simulator.journal import Journal
from simulator.links.link import Link, LinkEngine
from simulator.links.outbox import Message, Outbox
from simulator.messages import Command, ranges
from simulator.scheduler import Scheduler
from wire.mqtt import Publish, Subscribe

P = ParamSpec("P")
C = TypeVar("C")

QUIET_STATES = (State.LOCKED_OUT, State.HALTED, State.STOPPED)


@dataclass(slots=True)
class Surroundings(Generic[C]):
    """What all devices of a fleet share."""

    engine: LinkEngine[C]
    dialect: Dialect[C]
    scheduler: Scheduler
    journal: Journal
    clock: Clock
    crashed: Callable[[str, Exception], None]
    clock_skew: timedelta = timedelta(0)
    network_up: bool = True


def guarded(method: Callable[Concatenate["Driver", P], None]) -> Callable[Concatenate["Driver", P], None]:
    """Keep a bug in one device from ending the others: the guard of the fleet."""

    @functools.wraps(method)
    def call(self: "Driver", /, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            method(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 - the guard: the crash is journalled and the run exits 4
            self.around.crashed(self.device.device_id, error)

    return call


class Driver:
    """A device, its link, and what it still has to deliver."""

    __slots__ = ("_connect_seq", "_link", "_mark", "_seq", "_signed", "around", "device", "outbox")

    def __init__(self, device: Device, around: Surroundings[Any]) -> None:
        self.device = device
        self.around = around
        self.outbox = Outbox(self._too_large)
        self._link: Link | None = None
        self._seq = 0
        self._connect_seq = 0
        self._mark: str | None = None
        self._signed: tuple[Candidate, object] | None = None

    @property
    def _dialect(self) -> Dialect[Any]:
        return self.around.dialect

    @property
    def online(self) -> bool:
        return self.device.state is State.ONLINE

    @property
    def owes(self) -> bool:
        """Whether an online device still waits for an acknowledgement."""
        return self.online and len(self.outbox) > 0

    # -- what the scenario does to a device

    @guarded
    def start(self) -> None:
        """Switch the device on; without effect on one that is."""
        if self.device.state in (State.IDLE, State.STOPPED):
            self._signed = None
            self._apply(Started())

    @guarded
    def stop(self) -> None:
        """Switch the device off; its link ends cleanly."""
        if self.device.state is not State.STOPPED:
            self._apply(Stopped())

    @guarded
    def issue(self, slot: Slot, secret: str) -> None:
        """Hand the device a new secret."""
        self._issue(slot, secret)

    @guarded
    def cut(self, reason: str) -> None:
        """Break the device's link, if it has one."""
        if self._link is not None:
            self._link.cut(reason)

    @guarded
    def report(self, properties: dict[str, Any], *, qos: int) -> None:
        """Send telemetry, when the device is online."""
        if not self.online or self._link is None:
            return
        topic, body = self._dialect.report(self.device.device_id, properties)
        if qos:
            self._queue((topic, body))
            self._link.send_due()
            return
        report = Publish(topic, orjson.dumps(body))
        if self.outbox.admits(report):
            self._link.publish(report.topic, report.payload)

    # -- what the link tells

    @guarded
    def link_event(self, event: LinkEvent) -> None:
        if event.attempt != self.device.attempt:
            return
        if not isinstance(event, Accepted):
            self._link = None
        self._note(event)
        self._apply(event)
        if isinstance(event, Accepted):
            self._greet()

    @guarded
    def message_arrived(self, topic: str, payload: bytes) -> None:
        if request := self._dialect.request(self.device.device_id, topic, payload):
            self._obey(*request)

    @guarded
    def message_acknowledged(self, message: Message) -> None:
        self._write("acked", first=message.seq, last=message.seq)
        if message.seq == self._connect_seq:
            self._recovered()

    @guarded
    def messages_sent(self, messages: list[Message]) -> None:
        for first, last in ranges(message.seq for message in messages):
            self._write("sent", first=first, last=last)

    @guarded
    def power_saving(self, *, on: bool) -> None:
        self._write("asleep" if on else "awake")

    # -- the machine

    def _apply(self, event: Event) -> None:
        before = self.device.state
        for action in self.device.handle(event, self.around.scheduler.now()):
            match action:
                case OpenLink(attempt, candidate):
                    self._open(attempt, candidate)
                case CloseLink():
                    link, self._link = self._link, None
                    if link is not None:
                        link.close()
                case WakeAt(attempt, when):
                    self.around.scheduler.at(when, functools.partial(self._wake, attempt))
        if self.device.state is not before and self.device.state in QUIET_STATES:
            self._write("state", state=self.device.state)

    @guarded
    def _wake(self, attempt: int) -> None:
        self._apply(TimerFired(attempt))

    def _open(self, attempt: int, candidate: Candidate) -> None:
        self._mark = fingerprint(candidate.secret) if self._dialect.shows_secret else None
        self._write("opened", attempt=attempt, **self._presented(), staged=candidate.staged)
        if self.around.network_up:
            self._link = self.around.engine.open(self, attempt, self._sign(candidate), self.outbox)
        else:
            down = functools.partial(self.link_event, Unreachable(attempt, "network down"))
            self.around.scheduler.at(self.around.scheduler.now(), down)

    def _sign(self, candidate: Candidate) -> object:
        profile = self.device.profile
        if profile.signs_once and self._signed is not None and self._signed[0].secret == candidate.secret:
            return self._signed[1]
        utc = self.around.clock.utc() + self.around.clock_skew
        credentials: object = self._dialect.credentials(self.device.device_id, candidate.secret, profile, utc)
        if profile.signs_once:
            self._signed = candidate, credentials
        return credentials

    def _issue(self, slot: Slot, secret: str) -> None:
        self._write("issued", slot=slot, fingerprint=fingerprint(secret))
        self._apply(SecretIssued(slot, secret))

    # -- messages

    def _greet(self) -> None:
        """Say that we are here; the acknowledgement of it marks *recovered*. The link sends it.

        A session that was kept may have lost its SUBSCRIBE with the link before: it subscribes again.
        """
        device_id, dialect = self.device.device_id, self._dialect
        if self.device.profile.subscribes and self._link is not None:
            wanted = dialect.subscription(device_id)
            if wanted is not None and self.outbox.admits(Subscribe(1, (wanted,))):
                self._link.subscribe(*wanted)
        greeting = dialect.greeting(device_id, self.around.clock.utc())
        if greeting is None:
            self._recovered()
        else:
            self._connect_seq = self._queue(greeting)

    def _recovered(self) -> None:
        self._write("recovered", attempt=self.device.attempt)

    def _obey(self, request_id: str, command: Command) -> None:
        """Do what a command says and answer it; `set_secret` hands the device a new secret."""
        self._write("received", request_id=request_id, name=command.name, seq=command.seq)
        if command.slot is not None and command.secret is not None:
            self._issue(command.slot, command.secret)
        self._queue(self._dialect.response(self.device.device_id, request_id, command))
        if self._link is not None:
            self._link.send_due()

    def _too_large(self, topic: str, seq: int | None) -> None:
        """The platform takes no packet of that size: an outcome like others, and no error."""
        self._write("dropped", topic=topic, seq=seq, reason="too_large")

    def _queue(self, uplink: Uplink) -> int:
        """Number an uplink and put it into the outbox (QoS 1)."""
        topic, body = uplink
        self._seq += 1
        body["seq"] = self._seq
        self.outbox.add(Message(self._seq, topic, orjson.dumps(body)))
        return self._seq

    # -- the journal

    def _presented(self) -> dict[str, str | None]:
        """What may be told of the secret that the attempt presents: nothing, where it presents none."""
        presented = self.device.presented
        assert presented is not None, "news of an attempt that never began"
        return {"slot": presented.slot if self._mark else None, "fingerprint": self._mark}

    def _note(self, event: LinkEvent) -> None:
        match event:
            case Accepted(attempt, session_present):
                self._write("accepted", attempt=attempt, session_present=session_present, **self._presented())
            case Refused(attempt, cause, code):
                self._write("refused", attempt=attempt, cause=cause, code=code, **self._presented())
            case Unreachable(attempt, reason):
                self._write("unreachable", attempt=attempt, reason=reason)
            case LinkLost(attempt, reason):
                self._write("lost", attempt=attempt, reason=reason)

    def _write(self, kind: str, **fields: object) -> None:
        self.around.journal.add({"t": 0.0, "kind": kind, "device": self.device.device_id, **fields})
