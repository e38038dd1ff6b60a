"""The gate: what the platform does with each request of a client.

It owns the device's `$oc` topics and leaves the custom topics to the engine; the admission judges CONNECT.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from broker.access.admission import Admission
from broker.access.connection import Request
from broker.access.delivery import Delivery
from broker.access.link import Link
from broker.access.topics import Realm, is_platforms, realm
from broker.access.uplinks import Uplinks
from broker.journal import Journal, beginning
from broker.sessions import Ending, Session
from broker.settings import Settings
from broker.statistics import Statistics
from wire.mqtt import (
    Connect,
    Disconnect,
    PingReq,
    ProtocolError,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    ReasonCode,
    Subscribe,
    Unsubscribe,
)

MAX_QOS = 1
FAILURE = ReasonCode.UNSPECIFIED_ERROR


class Gate:
    """Handles requests of all links, in the loop, without waiting for anything."""

    def __init__(
        self,
        settings: Settings,
        admission: Admission,
        uplinks: Uplinks,
        delivery: Delivery,
        journal: Journal,
        statistics: Statistics,
        on_sweep: Sequence[Callable[[], None]],
    ) -> None:
        self._settings = settings
        self._admission = admission
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
                if not self._delivery.acknowledged(session, request.packet_id):
                    session.engine.answer(session, request)
            case PubRec() | PubRel() | PubComp():
                session.engine.answer(session, request)
            case PingReq():
                session.engine.ping(session)
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
        if session is None or not session.is_open:
            if session is not None:
                self._admission.abandon(session)
            self._journal.write("peer_closed", peer=link.peer, reason=ending)
            return
        self._admission.leave(session, ending)
        if session.slot is None:
            self._journal.write("guest_left", client_id=beginning(session.client_id), peer=session.peer, reason=ending)
            return
        self._uplinks.abandon(session)
        self._journal.write("detached", **session.as_detached(ending))

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
        if wanted_s is not None and session.slot is not None:
            session.keep_s = min(wanted_s, self._settings.stored_state_limit_s)
            packet = replace(packet, properties=replace(packet.properties, session_expiry_interval=session.keep_s))
        session.engine.disconnect(packet)
        link.cut(Ending.CLIENT_DISCONNECT)

    def _publish(self, session: Session, packet: Publish) -> None:
        self._statistics.messages += 1
        found = self._realm(session, packet.topic)
        if found is not Realm.CUSTOM:
            _check_publish(packet)
        if packet.retain and not (self._settings.is_open and found is Realm.CUSTOM):
            self._drop(session, packet.topic, "retain_ignored")
        match found:
            case Realm.CUSTOM:
                session.engine.publish(session, packet)
            case Realm.SYSTEM:
                self._uplinks.take(session, packet)
                if packet.qos:
                    session.send(PubAck(packet.packet_id))
            case Realm.FOREIGN:
                self._drop_foreign(session, packet.topic, "foreign_publish")
                if self._settings.strict_topics:
                    session.link.cut(Ending.TOPIC_POLICY)
                if packet.qos:
                    session.send(PubAck(packet.packet_id, ReasonCode.NOT_AUTHORIZED))

    def _subscribe(self, session: Session, packet: Subscribe) -> None:
        codes = tuple(self._grant(session, wanted, qos) for wanted, qos in packet.filters)
        if packet.properties.subscription_identifier and any(code is not None for code in codes):
            message = "subscription identifiers are not offered on $oc topics"
            raise ProtocolError(message, ReasonCode.SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED)
        if self._settings.strict_topics and any(code is not None and code >= FAILURE for code in codes):
            session.link.cut(Ending.TOPIC_POLICY)
            return
        session.engine.subscribe(session, packet, codes)

    def _grant(self, session: Session, topic_filter: str, qos: int) -> int | None:
        match self._realm(session, topic_filter):
            case Realm.CUSTOM:
                return None
            case Realm.SYSTEM:
                granted = min(qos, MAX_QOS)
                session.downlinks.grant(topic_filter, granted)
                return granted
        self._drop_foreign(session, topic_filter, "foreign_subscribe")
        return ReasonCode.NOT_AUTHORIZED if session.terms.level == 5 else FAILURE

    def _unsubscribe(self, session: Session, packet: Unsubscribe) -> None:
        codes = tuple(self._revoke(session, unwanted) for unwanted in packet.filters)
        session.engine.unsubscribe(session, packet, codes)

    def _revoke(self, session: Session, topic_filter: str) -> int | None:
        if self._realm(session, topic_filter) is Realm.CUSTOM:
            return None
        was_there = session.downlinks.revoke(topic_filter)
        return ReasonCode.SUCCESS if was_there else ReasonCode.NO_SUBSCRIPTION_EXISTED

    def _realm(self, session: Session, topic: str) -> Realm:
        """Tell where a topic belongs for this session; to an open gate only the `$oc` topics of others are foreign."""
        found = realm(session.device_id, topic)
        if found is Realm.SYSTEM and not session.has_system_topics:
            found = Realm.FOREIGN
        if found is Realm.FOREIGN and self._settings.is_open and not is_platforms(topic):
            return Realm.CUSTOM
        return found

    def _drop_foreign(self, session: Session, topic: str, reason: str) -> None:
        self._statistics.dropped_foreign += 1
        self._drop(session, topic, reason)

    def _drop(self, session: Session, topic: str, reason: str) -> None:
        self._journal.write("dropped", **session.journalled, topic=beginning(topic), reason=reason)


def _check_publish(packet: Publish) -> None:
    """Refuse what the platform does not offer on `$oc` topics, however much the engine behind it does."""
    if packet.qos > MAX_QOS:
        raise ProtocolError("QoS 2 is not offered on $oc topics", ReasonCode.QOS_NOT_SUPPORTED)
    if packet.properties.topic_alias is not None:
        raise ProtocolError("topic aliases are not offered on $oc topics", ReasonCode.TOPIC_ALIAS_INVALID)
