"""A link of LwM2M: one attempt is a handshake, where there is a key, and a registration."""

from enum import Enum, auto

from simulator.credentials import EndpointCredentials
from simulator.device.backoff import jitter
from simulator.device.events import Accepted, LinkEvent, LinkLost, Unreachable
from simulator.dialects.lwm2m import DOWNLINK
from simulator.links.link import LinkOwner
from simulator.links.lwm2m.alarm import Alarm
from simulator.links.lwm2m.answers import handshake_outcome, outcome
from simulator.links.lwm2m.client import Answered, Lwm2mClient, News, Observed, Taken, Unanswered, Unobserved, Written
from simulator.links.lwm2m.line import Line
from simulator.links.lwm2m.power import Power
from simulator.links.lwm2m.shared import Shared
from simulator.links.outbox import Message, Outbox
from wire.coap.peer import NEVER
from wire.dtls import Session

LINGER_S = 1.0  # a goodbye that nobody answers does not keep the descriptor
RESENT_AFTER_S = 0.01  # OpenSSL's clock is not ours: a look too early costs another


class Phase(Enum):
    QUEUED = auto()
    CONNECTING = auto()
    OPEN = auto()
    LEAVING = auto()
    ENDED = auto()


class Lwm2mLink:
    """One attempt, and the registration that came of it."""

    __slots__ = (
        "_alarm",
        "_attempt",
        "_client",
        "_credentials",
        "_deadline",
        "_in_flight",
        "_line",
        "_outbox",
        "_owner",
        "_phase",
        "_power",
        "_shared",
        "_silent",
        "_terminal",
        "_update_at",
    )

    def __init__(
        self, shared: Shared, owner: LinkOwner, attempt: int, credentials: EndpointCredentials, outbox: Outbox
    ) -> None:
        self._shared = shared
        self._owner = owner
        self._attempt = attempt
        self._credentials: EndpointCredentials | None = credentials
        self._outbox = outbox
        self._in_flight: Message | None = None
        self._line: Line | None = None
        self._phase = Phase.QUEUED
        self._terminal: LinkEvent | None = None
        self._silent = False
        self._power = Power(shared.options.sleep)
        self._alarm = Alarm(shared.scheduler, self._wake)
        self._update_at = NEVER
        self._deadline = NEVER
        chance = jitter(0, credentials.endpoint, attempt)
        self._client = Lwm2mClient(self._send, credentials.endpoint, shared.options, lambda: chance)
        shared.open_links += 1
        shared.turnstile.enter(self._begin)

    # -- what the device asks for

    def publish(self, topic: str, payload: bytes) -> None:  # noqa: ARG002 - all that goes up goes to one resource
        if self._phase is Phase.OPEN and self._rouse():
            self._client.report(payload, self._now(), confirmable=False)

    def send_due(self) -> None:
        """Send the next report; the one before must be acknowledged first (NSTART = 1, RFC 7252 §4.7)."""
        if self._phase is not Phase.OPEN or self._in_flight is not None or not self._outbox:
            return
        if not (self._rouse() and self._client.is_observed):
            return
        self._outbox.window = 1
        for message in self._outbox.due():
            self._in_flight = message
            self._client.report(message.payload, self._now(), confirmable=True)
            self._owner.messages_sent([message])
        self._arm()

    def subscribe(self, topic_filter: str, qos: int) -> None:
        """Nothing: it is the platform that asks to observe."""

    def close(self) -> None:
        self._silent = True
        if self._phase is not Phase.OPEN or self._power.is_asleep:
            self._fail("closed")
            return
        self._phase = Phase.LEAVING
        self._deadline = self._now() + LINGER_S
        self._client.deregister(self._now())
        self._arm()

    def cut(self, reason: str) -> None:
        self._fail(reason, politely=False)

    # -- what the line tells

    def opened(self) -> None:
        self._client.register(self._now())
        self._arm()

    def received(self, datagram: bytes) -> None:
        self._power.active(self._now())
        self._hear(self._client.receive(datagram, self._now()))
        self._arm()

    def failed(self, reason: str) -> None:
        self._fail(reason)

    def ended(self, session: Session) -> None:
        if session.is_open:
            self._fail(f"the session ended: {session.end}")
        else:
            self._end(handshake_outcome(self._attempt, session))

    # -- what the client tells

    def _hear(self, news: list[News]) -> None:
        for one in news:
            match one:
                case _ if self._phase is Phase.ENDED:
                    return
                case Answered(matter, code):
                    self._answered(outcome(self._attempt, matter, code))
                case Unanswered(reason):
                    self._fail(reason)
                case _ if self._silent:
                    pass
                case Observed():
                    self._resume()
                case Unobserved():
                    self._client.update(self._now())  # is the registration still there?
                case Taken() if self._in_flight is not None:
                    self._acknowledged(self._in_flight)
                case Written(payload):
                    self._owner.message_arrived(DOWNLINK, payload)

    def _answered(self, event: LinkEvent | None) -> None:
        if self._phase is Phase.LEAVING:
            self._fail("closed")
        elif isinstance(event, Accepted):
            self._phase = Phase.OPEN
            self._deadline = NEVER
            self._shared.turnstile.leave()
            self._update_at = self._now() + self._client.refresh_after_s
            self._owner.link_event(event)
        elif event is not None:
            self._end(event)
        else:
            self._update_at = self._now() + self._client.refresh_after_s

    def _resume(self) -> None:
        """A new observer: what the one before did not acknowledge is reported again."""
        self._in_flight = None
        self._outbox.resume(session_present=False)
        self.send_due()

    def _acknowledged(self, message: Message) -> None:
        self._in_flight = None
        self._outbox.acknowledge(message.packet_id)
        self._owner.message_acknowledged(message)
        self.send_due()

    # -- the line

    def _begin(self) -> bool:
        """The turn has come; False if nobody waits for it any more."""
        if self._phase is not Phase.QUEUED:
            return False
        assert self._credentials is not None, "a link begins once"
        credentials, self._credentials = self._credentials, None
        self._phase = Phase.CONNECTING
        self._deadline = self._now() + self._shared.options.connect_timeout_s
        identity, key = credentials.endpoint.encode(), credentials.key
        session = self._shared.dtls.connect(identity, key) if key is not None else None
        try:
            self._line = Line(self._shared.loop, self._shared.endpoint, self, session, self._power)
        except OSError as error:
            self._fail(error.strerror or str(error))
            return True
        self._line.start()
        self._arm()
        return True

    def _send(self, datagram: bytes) -> None:
        if self._line is not None:
            self._power.active(self._now())
            self._line.send(datagram)

    # -- time

    def _now(self) -> float:
        return self._shared.scheduler.now()

    def _arm(self) -> None:
        """See to it that the next thing to do is done in time."""
        if self._phase is Phase.ENDED:
            return
        due = min(self._deadline, self._client.wake_at)
        if self._phase is Phase.OPEN:
            due = min(due, self._power.next_at, NEVER if self._power.is_asleep else self._update_at)
        elif self._line is not None and (resend_in_s := self._line.resend_in_s) is not None:
            due = min(due, self._now() + resend_in_s + RESENT_AFTER_S)
        self._alarm.set(due)

    def _wake(self) -> None:
        now = self._now()
        if now >= self._deadline:
            self._fail("no answer in time")
            return
        if self._phase is Phase.CONNECTING and self._line is not None:
            resend_in_s = self._line.resend_in_s
            if resend_in_s is not None and resend_in_s <= 0:
                self._line.resend()
        self._hear(self._client.wake(now))
        if self._phase is Phase.OPEN:
            self._keep(now)
        self._arm()

    def _keep(self, now: float) -> None:
        """Refresh the registration in time; fall asleep and wake up."""
        if self._power.is_asleep:
            if now >= self._power.next_at:
                self._wake_up()
            return
        if now >= self._update_at:
            self._update_at = NEVER
            self._client.update(now)
        if now >= self._power.next_at:
            if self._client.wake_at == NEVER:
                self._fall_asleep(now)
            else:
                self._power.active(now)  # something is still to be answered

    # -- power saving

    def _rouse(self) -> bool:
        """Wake up to say something; False when there is nobody to say it to any more."""
        if self._power.is_asleep:
            self._wake_up()
        return self._phase is Phase.OPEN

    def _fall_asleep(self, now: float) -> None:
        self._power.fall_asleep(now)
        self._owner.power_saving(on=True)

    def _wake_up(self) -> None:
        self._power.active(self._now())
        self._owner.power_saving(on=False)
        if self._power.sleep and self._power.sleep.keeps_session:
            self._client.update(self._now())
            self.send_due()
        else:
            self._fail("woke up without its session", politely=False)

    # -- the end

    def _fail(self, reason: str, *, politely: bool = True) -> None:
        is_open = self._phase in (Phase.OPEN, Phase.LEAVING)
        event = LinkLost(self._attempt, reason) if is_open else Unreachable(self._attempt, reason)
        self._end(event, politely=politely)

    def _end(self, terminal: LinkEvent, *, politely: bool = True) -> None:
        if self._phase is Phase.ENDED:
            return
        was, self._phase, self._terminal = self._phase, Phase.ENDED, terminal
        self._alarm.off()
        if was is Phase.CONNECTING:
            self._shared.turnstile.leave()
        if self._line is not None:
            self._line.close() if politely else self._line.drop()
        self._shared.loop.call_soon(self._finish)

    def _finish(self) -> None:
        """Tell the owner how it ended, unless it asked for silence.

        What leads back here is let go of: an ended session must not wait for the collector, which comes rarely.
        """
        assert self._terminal is not None, "a link that ends has a terminal event"
        self._line = None
        del self._client, self._alarm
        self._shared.open_links -= 1
        if not self._silent:
            self._owner.link_event(self._terminal)
