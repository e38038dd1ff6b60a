"""One simulated device in the world: performs what its machine asks for, and tells it what its link saw."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Concatenate, ParamSpec

import orjson

from simulator.clock import Clock
from simulator.credentials import MqttCredentials, fingerprint, iotda_credentials
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
from simulator.journal import Journal
from simulator.links.link import Link, LinkEngine
from simulator.links.outbox import Message, Outbox
from simulator.messages import Command, connect_event, ranges, read_command, system_topic, telemetry
from simulator.scheduler import Scheduler
from wire.mqtt import Publish, Subscribe

QUIET_STATES = (State.LOCKED_OUT, State.HALTED, State.STOPPED)


@dataclass(slots=True)
class Surroundings:
    """What all devices of a fleet share. `sign` None leaves the sign digit to each profile."""

    engine: LinkEngine
    scheduler: Scheduler
    journal: Journal
    clock: Clock
    crashed: Callable[[str, Exception], None]
    sign: int | None = None
    clock_skew: timedelta = timedelta(0)
    network_up: bool = True


P = ParamSpec("P")


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

    def __init__(self, device: Device, around: Surroundings) -> None:
        self.device = device
        self.around = around
        self.outbox = Outbox(self._too_large)
        self._link: Link | None = None
        self._seq = 0
        self._connect_seq = 0
        self._mark = ""
        self._signed: tuple[Candidate, MqttCredentials] | None = None

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
        if qos:
            self._queue("properties/report", telemetry(properties))
            self._link.send_due()
            return
        report = Publish(self._topic("properties/report"), orjson.dumps(telemetry(properties)))
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
        prefix = self._topic("commands/request_id=")
        if topic.startswith(prefix):
            self._obey(topic.removeprefix(prefix), read_command(payload))

    @guarded
    def message_acknowledged(self, message: Message) -> None:
        self._write("acked", first=message.seq, last=message.seq)
        if message.seq == self._connect_seq:
            self._write("recovered", attempt=self.device.attempt)

    @guarded
    def messages_sent(self, messages: list[Message]) -> None:
        for first, last in ranges(message.seq for message in messages):
            self._write("sent", first=first, last=last)

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
        self._mark = fingerprint(candidate.secret)
        self._write("opened", attempt=attempt, slot=candidate.slot, fingerprint=self._mark, staged=candidate.staged)
        if self.around.network_up:
            self._link = self.around.engine.open(self, attempt, self._sign(candidate), self.outbox)
        else:
            down = functools.partial(self.link_event, Unreachable(attempt, "network down"))
            self.around.scheduler.at(self.around.scheduler.now(), down)

    def _sign(self, candidate: Candidate) -> MqttCredentials:
        profile = self.device.profile
        if profile.signs_once and self._signed is not None and self._signed[0].secret == candidate.secret:
            return self._signed[1]
        sign = profile.sign if self.around.sign is None else self.around.sign
        utc = self.around.clock.utc() + self.around.clock_skew
        credentials = iotda_credentials(self.device.device_id, candidate.secret, utc, sign=sign)
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
        if self.device.profile.subscribes and self._link is not None:
            wanted = self._topic("commands/#"), 1
            if self.outbox.admits(Subscribe(1, (wanted,))):
                self._link.subscribe(*wanted)
        self._connect_seq = self._queue("events/up", connect_event(self.device.device_id, self.around.clock.utc()))

    def _obey(self, request_id: str, command: Command) -> None:
        """Do what a command says and answer it; `set_secret` hands the device a new secret."""
        self._write("received", request_id=request_id, name=command.name, seq=command.seq)
        if command.slot is not None and command.secret is not None:
            self._issue(command.slot, command.secret)
        self._queue(f"commands/response/request_id={request_id}", command.response)
        if self._link is not None:
            self._link.send_due()

    def _too_large(self, topic: str, seq: int | None) -> None:
        """The platform takes no packet of that size: an outcome like others, and no error."""
        self._write("dropped", topic=topic, seq=seq, reason="too_large")

    def _queue(self, suffix: str, body: dict[str, Any]) -> int:
        """Number an uplink and put it into the outbox (QoS 1)."""
        self._seq += 1
        body["seq"] = self._seq
        self.outbox.add(Message(self._seq, self._topic(suffix), orjson.dumps(body)))
        return self._seq

    def _topic(self, suffix: str) -> str:
        return system_topic(self.device.device_id, suffix)

    # -- the journal

    def _note(self, event: LinkEvent) -> None:
        presented = self.device.presented
        assert presented is not None, "news of an attempt that never began"
        secret = {"slot": presented.slot, "fingerprint": self._mark}
        match event:
            case Accepted(attempt, session_present):
                self._write("accepted", attempt=attempt, session_present=session_present, **secret)
            case Refused(attempt, cause, code):
                self._write("refused", attempt=attempt, cause=cause, code=code, **secret)
            case Unreachable(attempt, reason):
                self._write("unreachable", attempt=attempt, reason=reason)
            case LinkLost(attempt, reason):
                self._write("lost", attempt=attempt, reason=reason)

    def _write(self, kind: str, **fields: object) -> None:
        self.around.journal.add({"t": 0.0, "kind": kind, "device": self.device.device_id, **fields})
