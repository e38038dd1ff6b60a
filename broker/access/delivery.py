"""From the platform down to a session."""

from broker.sessions import Session
from broker.statistics import Statistics
from wire.mqtt import Publish


class Delivery:
    """Hands messages to sessions and keeps their windows moving."""

    def __init__(self, statistics: Statistics) -> None:
        self._statistics = statistics

    def deliver(self, session: Session, topic: str, payload: bytes, qos: int) -> None:
        """Send a message, now or when the in-flight window has room."""
        dropped = session.downlinks.dropped
        self._send(session, session.downlinks.offer(topic, payload, qos))
        self._statistics.dropped_queue_full += session.downlinks.dropped - dropped

    def deliver_system(self, session: Session, topic: str, payload: bytes) -> None:
        """Send on one of the device's own `$oc` topics, at the QoS that it has subscribed to, else 0."""
        self.deliver(session, topic, payload, session.downlinks.granted_qos(topic))

    def acknowledged(self, session: Session, packet_id: int) -> None:
        self._send(session, session.downlinks.acknowledged(packet_id))

    def _send(self, session: Session, packet: Publish | None) -> None:
        if packet is not None:
            self._statistics.delivered += 1
            session.link.send(packet.encode())
