"""Who comes in, and what stays of who leaves: judges CONNECT, makes the session of who may, and ends it."""

from broker.access.answers import Greeting, code_for, refusal
from broker.access.delivery import Delivery
from broker.access.downlinks import Downlinks
from broker.access.listener import Link
from broker.access.queue import Bounds
from broker.access.terms import PLAIN, VERSIONS, Terms, session_expiry_s, terms_of
from broker.auth.decision import Accepted, ConnectRequest, Policy, Reason, Refused, decide
from broker.auth.registry import Registry
from broker.clock import Clock
from broker.journal import Journal, beginning
from broker.sessions import Ending, Session, Sessions
from broker.settings import Settings
from broker.statistics import Statistics
from broker.stored import Loss, StoredStates
from wire.mqtt import Connect, ReasonCode

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
        journal: Journal,
        statistics: Statistics,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._policy = Policy(settings.sign_window_hours, settings.keepalive_range_s)
        self._greeting = Greeting(settings)
        self._bounds = Bounds(settings.queue_limit, settings.queue_bytes)
        self._registry = registry
        self._sessions = sessions
        self._stored = stored
        self._delivery = delivery
        self._journal = journal
        self._statistics = statistics
        self._clock = clock

    def connect(self, link: Link, packet: Connect) -> None:
        terms = terms_of(packet)
        request = ConnectRequest(
            packet.client_id, packet.username, packet.password, packet.keepalive, secure=link.is_secure
        )
        verdict = decide(self._registry, request, self._clock.utc(), self._policy)
        if isinstance(verdict, Accepted):
            verdict = self._beyond_our_offer(packet, terms, verdict) or verdict
        if isinstance(verdict, Refused):
            self._refuse(link, packet.client_id, terms, verdict)
            return
        self._sessions.cut(verdict.device_id, Ending.TAKE_OVER)
        self._accept(link, packet, terms, verdict)
        if packet.will is not None:
            topic = beginning(packet.will.topic)
            self._journal.write("dropped", device=verdict.device_id, topic=topic, reason="will_ignored")

    def refuse_version(self, link: Link, level: int) -> None:
        """Answer a CONNECT of an MQTT version that we do not speak, in the nearest one that we do."""
        terms = PLAIN[5 if level > 5 else 4]
        self._refuse(link, None, terms, Refused(BAD_VERSION, Reason.UNSUPPORTED_VERSION))

    def refuse_unavailable(self, link: Link, level: int) -> None:
        """Answer a CONNECT that we failed to judge."""
        self._refuse(link, None, PLAIN[level], Refused(UNAVAILABLE, Reason.INTERNAL_ERROR))

    def leave(self, session: Session, ending: Ending) -> None:
        """A session is over."""
        if self._sessions.detach(session, self._clock.utc(), for_good=ending is not Ending.TAKE_OVER):
            self._stored.leave(session)

    def sweep(self) -> None:
        """Forget what was kept long enough."""
        self._stored.expire()

    def _accept(self, link: Link, packet: Connect, terms: Terms, verdict: Accepted) -> None:
        settings, wanted_s = self._settings, session_expiry_s(packet)
        keep_s = min(wanted_s, settings.stored_state_limit_s) if wanted_s else 0
        kept = self._inherit(verdict.device_id, packet)
        connack = self._greeting.encode(terms, kept is not None, None if keep_s == wanted_s else keep_s)
        window = min(settings.inflight_window, terms.receive_maximum)
        session = Session(
            device_id=verdict.device_id,
            slot=verdict.slot,
            version=verdict.version,
            client_id=packet.client_id,
            peer=link.peer,
            connected_at=self._clock.utc(),
            link=link,
            terms=terms,
            downlinks=kept or Downlinks(window, self._bounds),
            keep_s=keep_s,
        )
        self._sessions.attach(session)
        self._statistics.accepted += 1
        self._journal.write(
            "accepted",
            device=session.device_id,
            slot=session.slot,
            version=session.version,
            client_id=session.client_id,
            peer=session.peer,
            mqtt=VERSIONS[terms.level],
        )
        link.accept(session, packet.keepalive * settings.keepalive_factor, connack)
        if kept is not None:
            kept.resume(window)
            self._delivery.resume(session)
        self._delivery.hand_over(session)

    def _inherit(self, device_id: str, packet: Connect) -> Downlinks | None:
        """Return the stored state that a session goes on with; a clean start wants none [MQTT-3.1.2-6]."""
        if packet.clean_session:
            self._stored.drop(device_id, Loss.CLEAN_START)
            return None
        return self._stored.take(device_id)

    def _refuse(self, link: Link, client_id: str | None, terms: Terms, verdict: Refused) -> None:
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
        )
        link.refuse(refusal(terms, code, verdict.reason, self._settings))

    def _beyond_our_offer(self, packet: Connect, terms: Terms, verdict: Accepted) -> Refused | None:
        """Refuse what a client of MQTT 5 must not be let in with; earlier versions cannot be told, and are not."""
        if packet.level < 5:
            return None
        will, device_id = packet.will, verdict.device_id
        if will is not None and will.retain:  # [MQTT-3.2.2-13]
            return Refused(ReasonCode.RETAIN_NOT_SUPPORTED, Reason.WILL_NOT_SUPPORTED, device_id)
        if will is not None and will.qos > 1:  # [MQTT-3.2.2-12]
            return Refused(ReasonCode.QOS_NOT_SUPPORTED, Reason.WILL_NOT_SUPPORTED, device_id)
        if packet.properties.authentication_method is not None:  # 5.0 §4.12
            return Refused(ReasonCode.BAD_AUTHENTICATION_METHOD, Reason.AUTHENTICATION_METHOD, device_id)
        if terms.maximum_packet_size < self._greeting.longest:
            return Refused(ReasonCode.IMPLEMENTATION_SPECIFIC_ERROR, Reason.PACKET_SIZE_TOO_SMALL, device_id)
        return None
