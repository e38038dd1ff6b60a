"""Who comes in: judges CONNECT and makes the session of who may."""

from broker.access.answers import Greeting, code_for, refusal
from broker.access.downlinks import Downlinks
from broker.access.listener import Link
from broker.access.terms import PLAIN, VERSIONS, Terms, terms_of
from broker.auth.decision import Accepted, ConnectRequest, Policy, Reason, Refused, decide
from broker.auth.registry import Registry
from broker.clock import Clock
from broker.journal import Journal
from broker.sessions import Ending, Session, Sessions
from broker.settings import Settings
from broker.statistics import Statistics
from wire.mqtt import NO_PROPERTIES, Connect, ReasonCode

BAD_VERSION, UNAVAILABLE = 1, 3
MAX_CLIENT_ID_SHOWN = 256
LEAST_PACKET_SIZE = 64
"""Room for every packet that says no more than it must, our longest CONNACK among them."""


class Admission:
    """Takes CONNECTs to their end: a session, or a refusal."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        sessions: Sessions,
        journal: Journal,
        statistics: Statistics,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._policy = Policy(settings.sign_window_hours, settings.keepalive_range_s)
        self._greeting = Greeting(settings)
        self._registry = registry
        self._sessions = sessions
        self._journal = journal
        self._statistics = statistics
        self._clock = clock

    def connect(self, link: Link, packet: Connect) -> None:
        terms = terms_of(packet)
        request = ConnectRequest(packet.client_id, packet.username, packet.password, packet.keepalive)
        verdict = decide(self._registry, request, self._clock.utc(), self._policy)
        if isinstance(verdict, Accepted):
            verdict = _beyond_our_offer(packet, verdict) or verdict
        if isinstance(verdict, Refused):
            self._refuse(link, packet.client_id, terms, verdict)
            return
        self._sessions.cut(verdict.device_id, Ending.TAKE_OVER)
        self._accept(link, packet, terms, verdict)
        if packet.will is not None:
            self._journal.write("dropped", device=verdict.device_id, topic=packet.will.topic, reason="will_ignored")

    def refuse_version(self, link: Link, level: int) -> None:
        """Answer a CONNECT of an MQTT version that we do not speak, in the nearest one that we do."""
        terms = PLAIN[5 if level > 5 else 4]
        self._refuse(link, None, terms, Refused(BAD_VERSION, Reason.UNSUPPORTED_VERSION))

    def refuse_unavailable(self, link: Link, level: int) -> None:
        """Answer a CONNECT that we failed to judge."""
        self._refuse(link, None, PLAIN[level], Refused(UNAVAILABLE, Reason.INTERNAL_ERROR))

    def _accept(self, link: Link, packet: Connect, terms: Terms, verdict: Accepted) -> None:
        settings = self._settings
        session = Session(
            device_id=verdict.device_id,
            slot=verdict.slot,
            version=verdict.version,
            client_id=packet.client_id,
            peer=link.peer,
            connected_at=self._clock.utc(),
            link=link,
            terms=terms,
            downlinks=Downlinks(
                min(settings.inflight_window, terms.receive_maximum), settings.queue_limit, settings.queue_bytes
            ),
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
        changed = 0 if packet.properties.session_expiry_interval else None
        connack = self._greeting.encode(terms, present=False, expiry_s=changed)
        link.accept(session, packet.keepalive * settings.keepalive_factor, connack)

    def _refuse(self, link: Link, client_id: str | None, terms: Terms, verdict: Refused) -> None:
        code = code_for(terms, verdict.code)
        self._statistics.refused[verdict.reason.value] += 1
        self._journal.write(
            "refused",
            device=verdict.claimed,
            client_id=client_id and client_id[:MAX_CLIENT_ID_SHOWN],
            code=code,
            reason=verdict.reason,
            peer=link.peer,
            **({} if verdict.secret_was_right is None else {"secret_was_right": verdict.secret_was_right}),
        )
        link.refuse(refusal(terms, code, verdict.reason, self._settings))


def _beyond_our_offer(packet: Connect, verdict: Accepted) -> Refused | None:
    """Refuse what a client of MQTT 5 must not be let in with; earlier versions cannot be told, and are not."""
    if packet.level < 5:
        return None
    will, asked = packet.will, packet.properties
    if will is not None and will.retain:
        return Refused(ReasonCode.RETAIN_NOT_SUPPORTED, Reason.WILL_NOT_SUPPORTED, verdict.device_id)
    if will is not None and will.qos > 1:
        return Refused(ReasonCode.QOS_NOT_SUPPORTED, Reason.WILL_NOT_SUPPORTED, verdict.device_id)
    if asked is NO_PROPERTIES:
        return None
    if asked.authentication_method is not None:
        return Refused(ReasonCode.BAD_AUTHENTICATION_METHOD, Reason.AUTHENTICATION_METHOD, verdict.device_id)
    if asked.maximum_packet_size is not None and asked.maximum_packet_size < LEAST_PACKET_SIZE:
        return Refused(ReasonCode.PACKET_TOO_LARGE, Reason.PACKET_SIZE_TOO_SMALL, verdict.device_id)
    return None
