"""From the platform down to devices."""

from collections.abc import Mapping
from enum import Enum, auto

from broker.access.downlinks import Downlinks
from broker.access.payloads import sequence_number
from broker.access.queue import Message
from broker.clock import Clock
from broker.journal import Journal, beginning
from broker.sessions import Session, Sessions
from broker.statistics import Statistics
from broker.stored import StoredStates
from wire.mqtt import Publish, SubAck, UnsubAck

TOO_LARGE = "too_large"


class Fate(Enum):
    """What became of a message for one device, as far as it is known at once."""

    SENT = auto()
    WAITING = auto()
    """It is in the queue: the device is away, or has not acknowledged enough."""
    DROPPED = auto()


class Delivery:
    """Hands messages to sessions and to the queues of stored state, and keeps the windows moving."""

    def __init__(
        self, sessions: Sessions, stored: StoredStates, journal: Journal, statistics: Statistics, clock: Clock
    ) -> None:
        self._sessions = sessions
        self._stored = stored
        self._journal = journal
        self._statistics = statistics
        self._clock = clock

    def fan_out(self, packet: Publish, receivers: Mapping[str, int]) -> None:
        """Deliver a device's message to devices, each at the QoS that it has subscribed to."""
        if not receivers:
            return
        message = Message(packet.topic, packet.payload, packet.properties)
        if packet.properties.message_expiry_interval is not None:
            expires_at = self._clock.now() + packet.properties.message_expiry_interval
            message = Message(packet.topic, packet.payload, packet.properties, expires_at)
        for device_id, qos in receivers.items():
            self.to_device(device_id, message, min(qos, packet.qos))

    def to_device(self, device_id: str, message: Message, qos: int) -> Fate:
        """Deliver to a device wherever it is; QoS 0 does not wait for one that is away."""
        session = self._sessions.get(device_id)
        if session is not None:
            return self.to_session(session, message, qos)
        state = self._stored.get(device_id) if qos else None
        if state is None:
            return Fate.DROPPED
        self._wait(device_id, state, message)
        return Fate.WAITING

    def to_session(self, session: Session, message: Message, qos: int) -> Fate:
        """Send a message, now or when the in-flight window has room."""
        if not qos:
            return Fate.SENT if self._send(session, message.packet(self._clock.now())) else Fate.DROPPED
        self._wait(session.device_id, session.downlinks, message)
        was_sent = self._pump(session)
        if session.downlinks.has_waiting:
            return Fate.WAITING
        return Fate.SENT if was_sent else Fate.DROPPED

    def acknowledged(self, session: Session, packet_id: int) -> None:
        session.downlinks.acknowledged(packet_id)
        self._pump(session)

    def resume(self, session: Session) -> None:
        """Send what a session has inherited."""
        self._pump(session)

    def answer(self, session: Session, packet: SubAck | UnsubAck) -> None:
        """Send what a client waits for; it may be as long as the request, and more than the client takes."""
        if not session.send(packet):
            self._statistics.dropped_too_large += 1
            self._journal.write("dropped", device=session.device_id, packet=packet.KIND.name, reason=TOO_LARGE)

    def _wait(self, device_id: str, downlinks: Downlinks, message: Message) -> None:
        for lost in downlinks.offer(message):
            self._statistics.dropped_queue_full += 1
            self._drop(device_id, lost, "queue_full")

    def _pump(self, session: Session) -> bool:
        """Send while the window has room; tells whether the last message that left the queue was sent."""
        now, was_sent = self._clock.now(), False
        while (found := session.downlinks.next_packet(now)) is not None:
            if isinstance(found, Publish):
                was_sent = self._send(session, found)
            else:
                was_sent = False
                self._statistics.dropped_expired += 1
                self._drop(session.device_id, found, "expired")
        return was_sent

    def _send(self, session: Session, packet: Publish) -> bool:
        """Send a packet; one that its receiver does not take counts as delivered [MQTT-3.1.2-25]."""
        if session.send(packet):
            self._statistics.delivered += 1
            return True
        self._statistics.dropped_too_large += 1
        self._drop(session.device_id, packet, TOO_LARGE)
        session.downlinks.acknowledged(packet.packet_id)
        return False

    def _drop(self, device_id: str, what: Message | Publish, reason: str) -> None:
        seq = sequence_number(what.payload)
        numbered = {} if seq is None else {"seq": seq}
        self._journal.write("dropped", device=device_id, topic=beginning(what.topic), reason=reason, **numbered)
