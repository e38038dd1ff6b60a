"""The gate: what the platform does with each request of a client.

It owns the device's `$oc` topics and leaves the custom topics to the engine; the admission judges CONNECT.
"""

from collections.abc import Callable, Sequence

from broker.access.admission import Admission
from broker.access.connection import Request
from broker.access.delivery import Delivery
from broker.access.listener import Link
from broker.access.router import Grant, Router
from broker.access.topics import Realm, realm
from broker.access.uplinks import Uplinks
from broker.journal import Journal, beginning
from broker.sessions import Ending, Session
from broker.settings import Settings
from broker.statistics import Statistics
from wire.mqtt import (
    Connect,
    Disconnect,
    PingReq,
    PingResp,
    ProtocolError,
    PubAck,
    Publish,
    ReasonCode,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
)

MAX_QOS = 1
FAILURE = ReasonCode.UNSPECIFIED_ERROR
PINGRESP = PingResp()


class Gate:
    """Handles requests of all links, in the loop, without waiting for anything."""

    def __init__(
        self,
        settings: Settings,
        admission: Admission,
        uplinks: Uplinks,
        engine: Router[str],
        delivery: Delivery,
        journal: Journal,
        statistics: Statistics,
        on_sweep: Sequence[Callable[[], None]],
    ) -> None:
        self._settings = settings
        self._admission = admission
        self._engine = engine
        self._uplinks = uplinks
        self._delivery = delivery
        self._journal = journal
        self._statistics = statistics
        self._on_sweep = on_sweep

    def handle(self, link: Link, request: Request) -> None:
        """Serve one request of a link whose conversation is in the right phase for it."""
        if isinstance(request, Connect):
            self._admission.connect(link, request)
            return
        session = link.session
        assert session is not None
        match request:
            case Publish():
                self._publish(session, request)
            case PubAck():
                self._delivery.acknowledged(session, request.packet_id)
            case PingReq():
                session.send(PINGRESP)
            case Subscribe():
                self._subscribe(session, request)
            case Unsubscribe():
                self._unsubscribe(session, request)
            case Disconnect():
                self._disconnect(link, session, request)

    def refuse_version(self, link: Link, level: int) -> None:
        self._admission.refuse_version(link, level)

    def refuse_unavailable(self, link: Link, level: int) -> None:
        self._admission.refuse_unavailable(link, level)

    def ended(self, link: Link, ending: Ending) -> None:
        """Take note that an unrefused link is over; a session ends with its link."""
        self._statistics.ended[ending.value] += 1
        session = link.session
        if session is None:
            self._journal.write("peer_closed", peer=link.peer, reason=ending)
            return
        self._admission.leave(session, ending)
        self._uplinks.abandon(session)
        self._journal.write(
            "detached",
            device=session.device_id,
            reason=ending,
            slot=session.slot,
            version=session.version,
            peer=session.peer,
        )

    def sweep(self) -> None:
        self._admission.sweep()
        for sweep in self._on_sweep:
            sweep()

    def _disconnect(self, link: Link, session: Session, packet: Disconnect) -> None:
        """End a session; its client may still change how long its state is kept (5.0 §3.14.2.2.2)."""
        wanted_s = packet.properties.session_expiry_interval
        if wanted_s and not session.keep_s:
            message = "a session expiry interval in DISCONNECT after none in CONNECT"
            link.cut(Ending.PROTOCOL_ERROR, ProtocolError(message, ReasonCode.PROTOCOL_ERROR))
            return
        if wanted_s is not None:
            session.keep_s = min(wanted_s, self._settings.stored_state_limit_s)
        link.cut(Ending.CLIENT_DISCONNECT)

    def _publish(self, session: Session, packet: Publish) -> None:
        self._statistics.messages += 1
        code = ReasonCode.SUCCESS
        if packet.retain:
            self._drop(session, packet.topic, "retain_ignored")
        match _realm(session, packet.topic):
            case Realm.SYSTEM:
                self._uplinks.take(session, packet)
            case Realm.CUSTOM:
                self._delivery.fan_out(packet, self._engine.receivers(packet.topic, session.device_id))
            case Realm.FOREIGN:
                code = ReasonCode.NOT_AUTHORIZED
                self._drop_foreign(session, packet.topic, "foreign_publish")
                if self._settings.strict_topics:
                    session.link.cut(Ending.TOPIC_POLICY)
        if packet.qos:
            session.send(PubAck(packet.packet_id, code))

    def _subscribe(self, session: Session, packet: Subscribe) -> None:
        options = packet.options or (None,) * len(packet.filters)
        codes = tuple(
            self._grant(session, wanted, Grant(min(qos, MAX_QOS), option is not None and option.no_local))
            for (wanted, qos), option in zip(packet.filters, options, strict=True)
        )
        if self._settings.strict_topics and any(code >= FAILURE for code in codes):
            session.link.cut(Ending.TOPIC_POLICY)
        self._delivery.answer(session, SubAck(packet.packet_id, codes))
        self._delivery.hand_over(session)

    def _grant(self, session: Session, topic_filter: str, grant: Grant) -> int:
        match _realm(session, topic_filter):
            case Realm.SYSTEM:
                session.downlinks.grant(topic_filter, grant.qos)
            case Realm.CUSTOM:
                self._engine.subscribe(session.device_id, topic_filter, grant)
            case Realm.FOREIGN:
                self._drop_foreign(session, topic_filter, "foreign_subscribe")
                return ReasonCode.NOT_AUTHORIZED if session.terms.level == 5 else FAILURE
        return grant.qos

    def _unsubscribe(self, session: Session, packet: Unsubscribe) -> None:
        codes = tuple(
            ReasonCode.SUCCESS
            if session.downlinks.revoke(topic_filter) or self._engine.unsubscribe(session.device_id, topic_filter)
            else ReasonCode.NO_SUBSCRIPTION_EXISTED
            for topic_filter in packet.filters
        )
        self._delivery.answer(session, UnsubAck(packet.packet_id, codes))

    def _drop_foreign(self, session: Session, topic: str, reason: str) -> None:
        self._statistics.dropped_foreign += 1
        self._drop(session, topic, reason)

    def _drop(self, session: Session, topic: str, reason: str) -> None:
        self._journal.write("dropped", device=session.device_id, topic=beginning(topic), reason=reason)


def _realm(session: Session, topic: str) -> Realm:
    found = realm(session.device_id, topic)
    return Realm.FOREIGN if found is Realm.SYSTEM and not session.has_system_topics else found
