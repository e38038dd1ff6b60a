"""From the platform down to devices."""

from collections.abc import Mapping
from enum import Enum, auto

from broker.access.downlinks import Downlinks
from broker.access.payloads import sequence_number
from broker.access.queue import Message
from broker.access.topics import Realm, is_implicit, realm
from broker.clock import Clock
from broker.journal import Journal, beginning
from broker.mailbox import DeviceMessage, Failure, Mailbox, Status
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
        self,
        sessions: Sessions,
        stored: StoredStates,
        journal: Journal,
        statistics: Statistics,
        clock: Clock,
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
        session = self._sessions.reachable(device_id)
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

    def subscribed_qos(self, session: Session, topic: str) -> int | None:
        """Return the QoS of a subscription to any topic that the device may use; None if there is none.

        Its own `sys` topics need none: there it is 0.
        """
        if realm(session.device_id, topic) is Realm.CUSTOM:
            return session.engine.subscribed_qos(session, topic)
        qos = session.downlinks.subscribed_qos(topic)
        return 0 if qos is None and is_implicit(session.device_id, topic) else qos

    def hand_over(self, session: Session) -> None:
        """Send a session what waits in its mailbox and is not too old."""
        mailbox = self._stored.mailboxes.get(session.device_id)
        if mailbox is not None and self._sessions.get(session.device_id) is session:
            self.expire(session.device_id, mailbox)
            self.send_waiting(session, mailbox)

    def send_waiting(self, session: Session, mailbox: Mailbox) -> None:
        """Send what waits in a mailbox, in order, but for what is on topics that the device has not subscribed to."""
        utc = self._clock.utc()
        for one in mailbox.waiting():
            qos = self.subscribed_qos(session, one.message.topic)
            if qos is None:
                continue
            if self.to_session(session, one.message, qos) is Fate.DROPPED:
                one.finish(Status.FAILED, utc, Failure.TOO_LARGE)
            else:
                one.finish(Status.DELIVERED, utc)
            self._tell(session.device_id, one)

    def keep(self, device_id: str, mailbox: Mailbox, new: DeviceMessage) -> None:
        """Put a message into a mailbox, whatever became of it already."""
        lost = mailbox.add(new)
        if lost is not None and lost.status is Status.PENDING:
            self._statistics.dropped_queue_full += 1
            self._drop(device_id, lost.message, "queue_full")
        if new.status is not Status.PENDING:
            self._tell(device_id, new)

    def expire(self, device_id: str, mailbox: Mailbox) -> None:
        """Give up what has waited in a mailbox for too long."""
        for one in mailbox.expire(self._clock.utc()):
            self._tell(device_id, one)

    def acknowledged(self, session: Session, packet_id: int) -> bool:
        """Take an acknowledgement; False if it is of nothing that was sent here."""
        was_ours = session.downlinks.acknowledged(packet_id)
        self._pump(session)
        return was_ours

    def resume(self, session: Session) -> None:
        """Send what a session has inherited."""
        self._pump(session)

    def answer(self, session: Session, packet: SubAck | UnsubAck) -> None:
        """Send what a client waits for; it may be as long as the request, and more than the client takes."""
        if not session.send(packet):
            self._statistics.dropped_too_large += 1
            self._journal.write("dropped", **session.journalled, packet=packet.KIND.name, reason=TOO_LARGE)

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

    def _tell(self, device_id: str, one: DeviceMessage) -> None:
        self._journal.write("message", device=device_id, message_id=one.message_id, status=one.status)

    def _drop(self, device_id: str, what: Message | Publish, reason: str) -> None:
        seq = sequence_number(what.payload)
        numbered = {} if seq is None else {"seq": seq}
        self._journal.write("dropped", device=device_id, topic=beginning(what.topic), reason=reason, **numbered)
