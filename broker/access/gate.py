"""The gate: what the platform does with each request of a client.

It judges CONNECT, owns the session and the device's `$oc` topics, and leaves the custom topics to the engine.
"""

from broker.access.connection import Request
from broker.access.delivery import Delivery
from broker.access.downlinks import Downlinks
from broker.access.listener import Link
from broker.access.router import Router
from broker.access.topics import Realm, realm
from broker.access.uplinks import Uplinks
from broker.auth.decision import Accepted, ConnectRequest, Policy, Reason, Refused, decide
from broker.auth.registry import Registry
from broker.clock import Clock
from broker.commands import Commands
from broker.journal import Journal
from broker.sessions import Ending, Session, Sessions
from broker.settings import Settings
from broker.statistics import Statistics
from wire.mqtt import (
    Connect,
    Disconnect,
    PingReq,
    PingResp,
    PubAck,
    Publish,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
)

MAX_QOS = 1
FAILURE = 0x80
BAD_VERSION = 1
PINGRESP = PingResp().encode()
MAX_CLIENT_ID_SHOWN = 256


class Gate:
    """Handles requests of all links, in the loop, without waiting for anything."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        sessions: Sessions,
        commands: Commands,
        delivery: Delivery,
        journal: Journal,
        statistics: Statistics,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._policy = Policy(settings.sign_window_hours, settings.keepalive_range_s)
        self._registry = registry
        self._sessions = sessions
        self._commands = commands
        self._uplinks = Uplinks(commands, journal, statistics)
        self._delivery = delivery
        self._journal = journal
        self._statistics = statistics
        self._clock = clock
        self._engine: Router[Session] = Router()

    def handle(self, link: Link, request: Request) -> None:
        """Serve one request of a link whose conversation is in the right phase for it."""
        if isinstance(request, Connect):
            self._connect(link, request)
            return
        session = link.session
        assert session is not None
        match request:
            case Publish():
                self._publish(session, request)
            case PubAck():
                self._delivery.acknowledged(session, request.packet_id)
            case PingReq():
                link.send(PINGRESP)
            case Subscribe():
                self._subscribe(session, request)
            case Unsubscribe():
                self._unsubscribe(session, request)
            case Disconnect():
                link.cut(Ending.CLIENT_DISCONNECT)

    def refuse_version(self, link: Link) -> None:
        """Answer a CONNECT of an MQTT version that we do not speak."""
        self._refuse(link, None, Refused(BAD_VERSION, Reason.UNSUPPORTED_VERSION))

    def ended(self, link: Link, ending: Ending) -> None:
        """Take note that an unrefused link is over; a session ends with its link."""
        self._statistics.ended[ending.value] += 1
        session = link.session
        if session is None:
            self._journal.write("peer_closed", peer=link.peer, reason=ending)
            return
        self._sessions.detach(session)
        self._engine.forget(session)
        self._commands.abandon(session)
        self._journal.write(
            "detached",
            device=session.device_id,
            reason=ending,
            slot=session.slot,
            version=session.version,
            peer=session.peer,
        )

    def _connect(self, link: Link, packet: Connect) -> None:
        request = ConnectRequest(packet.client_id, packet.username, packet.password, packet.keepalive)
        verdict = decide(self._registry, request, self._clock.utc(), self._policy)
        if isinstance(verdict, Refused):
            self._refuse(link, packet.client_id, verdict)
            return
        self._sessions.cut(verdict.device_id, Ending.TAKE_OVER)
        self._accept(link, packet, verdict)
        if packet.will is not None:
            self._journal.write("dropped", device=verdict.device_id, topic=packet.will.topic, reason="will_ignored")

    def _accept(self, link: Link, packet: Connect, verdict: Accepted) -> None:
        settings = self._settings
        session = Session(
            device_id=verdict.device_id,
            slot=verdict.slot,
            version=verdict.version,
            client_id=packet.client_id,
            peer=link.peer,
            connected_at=self._clock.utc(),
            link=link,
            downlinks=Downlinks(settings.inflight_window, settings.queue_limit, settings.queue_bytes),
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
        )
        link.accept(session, packet.keepalive * settings.keepalive_factor)

    def _refuse(self, link: Link, client_id: str | None, verdict: Refused) -> None:
        self._statistics.refused[verdict.reason.value] += 1
        self._journal.write(
            "refused",
            device=verdict.claimed,
            client_id=client_id and client_id[:MAX_CLIENT_ID_SHOWN],
            code=verdict.code,
            reason=verdict.reason,
            peer=link.peer,
            **({} if verdict.secret_was_right is None else {"secret_was_right": verdict.secret_was_right}),
        )
        link.refuse(verdict.code)

    def _publish(self, session: Session, packet: Publish) -> None:
        self._statistics.messages += 1
        if packet.retain:
            self._journal.write("dropped", device=session.device_id, topic=packet.topic, reason="retain_ignored")
        match realm(session.device_id, packet.topic):
            case Realm.SYSTEM:
                self._uplinks.take(session, packet)
            case Realm.CUSTOM:
                for receiver, qos in self._engine.receivers(packet.topic).items():
                    self._delivery.deliver(receiver, packet.topic, packet.payload, min(qos, packet.qos))
            case Realm.FOREIGN:
                self._drop_foreign(session, packet.topic, "foreign_publish")
                if self._settings.strict_topics:
                    session.link.cut(Ending.TOPIC_POLICY)
        if packet.qos:
            session.link.send(PubAck(packet.packet_id).encode())

    def _subscribe(self, session: Session, packet: Subscribe) -> None:
        codes = tuple(self._grant(session, wanted, min(qos, MAX_QOS)) for wanted, qos in packet.filters)
        if FAILURE in codes and self._settings.strict_topics:
            session.link.cut(Ending.TOPIC_POLICY)
        session.link.send(SubAck(packet.packet_id, codes).encode())

    def _grant(self, session: Session, topic_filter: str, qos: int) -> int:
        match realm(session.device_id, topic_filter):
            case Realm.SYSTEM:
                session.downlinks.grant(topic_filter, qos)
            case Realm.CUSTOM:
                self._engine.subscribe(session, topic_filter, qos)
            case Realm.FOREIGN:
                self._drop_foreign(session, topic_filter, "foreign_subscribe")
                return FAILURE
        return qos

    def _unsubscribe(self, session: Session, packet: Unsubscribe) -> None:
        for topic_filter in packet.filters:
            session.downlinks.revoke(topic_filter)
            self._engine.unsubscribe(session, topic_filter)
        session.link.send(UnsubAck(packet.packet_id).encode())

    def _drop_foreign(self, session: Session, topic: str, reason: str) -> None:
        self._statistics.dropped_foreign += 1
        self._journal.write("dropped", device=session.device_id, topic=topic, reason=reason)
