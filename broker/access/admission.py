"""Who comes in, and what stays of who leaves: judges CONNECT, makes the session of who may, and ends it."""

import math
from functools import partial

from broker.access.answers import Greeting, code_for, refusal
from broker.access.delivery import Delivery
from broker.access.downlinks import Downlinks
from broker.access.link import Link
from broker.access.queue import Bounds
from broker.access.terms import PLAIN, VERSIONS, Terms, session_expiry_s, terms_of
from broker.auth.credentials import parse_client_id
from broker.auth.decision import Accepted, ConnectRequest, Policy, Reason, Refused, decide
from broker.auth.registry import Registry
from broker.engines.engine import Engine, NotReady, Ready
from broker.engines.greeting import takes_will, window_of
from broker.journal import beginning
from broker.notes import Notes
from broker.sessions import Ending, Session, Sessions
from broker.settings import Settings
from broker.stored import Loss, StoredStates
from wire.mqtt import ConnAck, Connect, ReasonCode, Will

BAD_VERSION, UNAVAILABLE = 1, 3


class Admission:
    """Takes CONNECTs to their end, a session or a refusal, and sessions to theirs."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        sessions: Sessions,
        stored: StoredStates,
        delivery: Delivery,
        engine: Engine,
        notes: Notes,
    ) -> None:
        self._settings = settings
        self._policy = Policy(settings.sign_window_hours, settings.keepalive_range_s)
        self._greeting = Greeting(settings)
        self._bounds = Bounds(settings.queue_limit, settings.queue_bytes)
        self._registry = registry
        self._sessions = sessions
        self._stored = stored
        self._delivery = delivery
        self._engine = engine
        self._journal = notes.journal
        self._statistics = notes.statistics
        self._clock = notes.clock

    def connect(self, link: Link, packet: Connect) -> None:
        terms = terms_of(packet)
        if self._is_guest(packet):
            if (refused := self._beyond_our_offer(packet, terms, None)) is not None:
                self._refuse(link, packet.client_id, terms, refused)
            else:
                self._ask_engine(link, packet, terms, None)
            return
        request = ConnectRequest(
            packet.client_id, packet.username, packet.password, packet.keepalive, secure=link.is_secure
        )
        verdict = decide(self._registry, request, self._clock.utc(), self._policy)
        if isinstance(verdict, Accepted):
            verdict = self._beyond_our_offer(packet, terms, verdict.device_id) or verdict
        if isinstance(verdict, Refused):
            self._refuse(link, packet.client_id, terms, verdict)
            return
        self._make_way(verdict.device_id, packet)
        self._ask_engine(link, packet, terms, verdict)

    def refuse_version(self, link: Link, level: int) -> None:
        """Answer a CONNECT of an MQTT version that we do not speak, in the nearest one that we do."""
        terms = PLAIN[5 if level > 5 else 4]
        self._refuse(link, None, terms, Refused(BAD_VERSION, Reason.UNSUPPORTED_VERSION))

    def refuse_unavailable(self, link: Link, level: int) -> None:
        """Answer a CONNECT that we failed to judge, or to open a session for."""
        if link.session is not None:
            self.abandon(link.session)
        self._refuse(link, None, PLAIN[level], Refused(UNAVAILABLE, Reason.INTERNAL_ERROR))

    def abandon(self, session: Session) -> None:
        """A session is over before it was open."""
        self._sessions.give_up(session)
        if session.line is not None:
            session.line.leave()

    def leave(self, session: Session, ending: Ending) -> None:
        """A session is over."""
        session.engine.leave()
        if self._sessions.detach(session, self._clock.utc(), for_good=ending is not Ending.TAKE_OVER):
            self._stored.leave(session)

    def sweep(self) -> None:
        """Forget what was kept long enough."""
        self._stored.expire()
        self._engine.sweep()

    def _make_way(self, device_id: str, packet: Connect) -> None:
        """End what a new session of a device takes the place of."""
        self._sessions.cut(device_id, Ending.TAKE_OVER)
        if packet.clean_session:  # it wants nothing of what is stored [MQTT-3.1.2-6]
            self._stored.drop(device_id, Loss.CLEAN_START)

    def _is_guest(self, packet: Connect) -> bool:
        """Tell whether an open gate lets somebody in who claims to be no device: under a client id of its own."""
        if not self._settings.is_open or packet.username is not None or parse_client_id(packet.client_id) is not None:
            return False
        return self._registry.get(packet.client_id) is None and not self._registry.roma.with_client_id(packet.client_id)

    def _ask_engine(self, link: Link, packet: Connect, terms: Terms, verdict: Accepted | None) -> None:
        """Make the session and have the engine open it; no `verdict` makes it a guest's."""
        kept, keep_s = None, session_expiry_s(packet)
        if verdict is not None:
            kept = None if packet.clean_session else self._stored.look_up(verdict.device_id)
            keep_s = min(keep_s, self._settings.stored_state_limit_s)
        session = Session(
            device_id=packet.client_id if verdict is None else verdict.device_id,
            slot=None if verdict is None else verdict.slot,
            version=None if verdict is None else verdict.version,
            client_id=packet.client_id,
            peer=link.peer,
            connected_at=self._clock.utc(),
            link=link,
            terms=terms,
            downlinks=kept or Downlinks(0, self._bounds),
            keep_s=keep_s,
        )
        link.hold(session)
        if verdict is not None:
            self._sessions.expect(session)
        self._engine.open(session, packet, partial(self._opened, link, packet, session))

    def _opened(self, link: Link, packet: Connect, session: Session, outcome: Ready | NotReady) -> None:
        """The engine has answered for a session that still waits for it."""
        if isinstance(outcome, NotReady):
            self._give_back(link, session, outcome)
            return
        if session.slot is None:
            self._accept_guest(link, session, outcome)
        else:
            self._accept(link, packet, session, outcome)
        if packet.will is not None and not takes_will(self._settings, packet.will):
            self._drop_will(session, packet.will)

    def _give_back(self, link: Link, session: Session, outcome: NotReady) -> None:
        """The engine has not taken a session: why is between it and a guest, and nothing that a device could mend."""
        self.abandon(session)
        code = BAD_VERSION if outcome.reason is Reason.ENGINE_LACKS_VERSION else UNAVAILABLE
        verdict, connack = Refused(code, outcome.reason, session.device_id), None
        if session.slot is None:
            connack = outcome.answer
            verdict = Refused(code if connack is None else connack.code, outcome.reason)
        self._refuse(link, session.client_id, session.terms, verdict, detail=outcome.detail, connack=connack)

    def _accept(self, link: Link, packet: Connect, session: Session, ready: Ready) -> None:
        settings, engine = self._settings, ready.answer
        present = self._stored.take(session.device_id)
        if present and engine is not None and not engine.session_present:
            session.downlinks.forget_engine()
            present = False
        told_s = None if session.keep_s == session_expiry_s(packet) else session.keep_s
        connack = self._greeting.encode(session.terms, present, told_s, engine)
        self._sessions.attach(session)
        self._statistics.accepted += 1
        self._journal.write("accepted", **session.as_accepted(), mqtt=VERSIONS[session.terms.level])
        link.accept(packet.keepalive * settings.keepalive_factor, connack)
        session.downlinks.resume(window_of(session.terms, settings))
        self._delivery.resume(session)
        self._delivery.hand_over(session)

    def _accept_guest(self, link: Link, session: Session, ready: Ready) -> None:
        """Let a guest in; that it is silent for too long is the engine's to see."""
        assert ready.answer is not None, "guests come in where a broker stands behind an open gate"
        session.is_open = True
        self._statistics.guests += 1
        version = VERSIONS[session.terms.level]
        self._journal.write("guest", client_id=beginning(session.client_id), peer=session.peer, mqtt=version)
        link.accept(math.inf, self._greeting.pass_on(session.terms, ready.answer))

    def _drop_will(self, session: Session, will: Will) -> None:
        self._journal.write("dropped", **session.journalled, topic=beginning(will.topic), reason="will_ignored")

    def _refuse(
        self,
        link: Link,
        client_id: str | None,
        terms: Terms,
        verdict: Refused,
        *,
        detail: str | None = None,
        connack: ConnAck | None = None,
    ) -> None:
        """Answer with the `connack` of the engine, if there is one, or with our own."""
        code = code_for(terms, verdict.code)
        self._statistics.refused[verdict.reason.value] += 1
        self._journal.write(
            "refused",
            device=verdict.claimed,
            client_id=client_id and beginning(client_id),
            code=code,
            reason=verdict.reason,
            peer=link.peer,
            **({} if verdict.secret_was_right is None else {"secret_was_right": verdict.secret_was_right}),
            **({} if detail is None else {"detail": detail}),
        )
        if connack is None:
            link.refuse(refusal(terms, code, verdict.reason, self._settings))
        else:
            link.refuse(connack.encode(terms.level))

    def _beyond_our_offer(self, packet: Connect, terms: Terms, device_id: str | None) -> Refused | None:
        """Refuse what a client of MQTT 5 must not be let in with; earlier versions cannot be told, and are not."""
        if packet.level < 5:
            return None
        if packet.properties.authentication_method is not None:  # 5.0 §4.12; not even an engine is asked: it may go on
            return Refused(ReasonCode.BAD_AUTHENTICATION_METHOD, Reason.AUTHENTICATION_METHOD, device_id)
        if self._settings.is_open:
            return None
        will = packet.will
        if will is not None and will.retain:  # [MQTT-3.2.2-13]
            return Refused(ReasonCode.RETAIN_NOT_SUPPORTED, Reason.WILL_NOT_SUPPORTED, device_id)
        if will is not None and will.qos > 1:  # [MQTT-3.2.2-12]
            return Refused(ReasonCode.QOS_NOT_SUPPORTED, Reason.WILL_NOT_SUPPORTED, device_id)
        if terms.maximum_packet_size < self._greeting.longest:
            return Refused(ReasonCode.IMPLEMENTATION_SPECIFIC_ERROR, Reason.PACKET_SIZE_TOO_SMALL, device_id)
        return None
