"""From the platform down to a session."""

from broker.access.downlinks import Message
from broker.journal import Journal
from broker.sessions import Session
from broker.statistics import Statistics
from wire.mqtt import Publish


class Delivery:
    """Hands messages to sessions and keeps their windows moving."""

    def __init__(self, journal: Journal, statistics: Statistics) -> None:
        self._journal = journal
        self._statistics = statistics

    def deliver(self, session: Session, message: Message, qos: int) -> None:
        """Send a message, now or when the in-flight window has room."""
        dropped = session.downlinks.dropped
        self._send(session, session.downlinks.offer(message, qos))
        self._statistics.dropped_queue_full += session.downlinks.dropped - dropped

    def deliver_system(self, session: Session, message: Message) -> None:
        """Send on one of the device's own `$oc` topics, at the QoS that it has subscribed to, else 0."""
        self.deliver(session, message, session.downlinks.granted_qos(message.topic))

    def acknowledged(self, session: Session, packet_id: int) -> None:
        self._send(session, session.downlinks.acknowledged(packet_id))

    def _send(self, session: Session, packet: Publish | None) -> None:
        """Send a packet; one that its receiver does not take counts as delivered [MQTT-3.1.2-25]."""
        while packet is not None:
            data = packet.encode(session.terms.level)
            if len(data) <= session.terms.maximum_packet_size:
                self._statistics.delivered += 1
                session.link.send(data)
                return
            self._statistics.dropped_too_large += 1
            self._journal.write("dropped", device=session.device_id, topic=packet.topic, reason="too_large")
            packet = session.downlinks.acknowledged(packet.packet_id)
