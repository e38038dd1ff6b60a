"""Messages to devices that expect no answer: delivered now, or when a device with stored state is back."""

from broker.access.delivery import Delivery, Fate
from broker.access.payloads import sequence_number
from broker.access.queue import Message
from broker.access.topics import Realm, message_topic, realm
from broker.auth.registry import Registry
from broker.errors import DeviceOffline, InvalidInput, UnknownDevice
from broker.journal import Journal
from broker.sessions import Sessions
from broker.stored import StoredStates
from wire.mqtt import topic_error


class Messages:
    """Sends messages; the journal knows them by their sequence numbers, never by their content."""

    def __init__(
        self, registry: Registry, sessions: Sessions, stored: StoredStates, delivery: Delivery, journal: Journal
    ) -> None:
        self._registry = registry
        self._sessions = sessions
        self._stored = stored
        self._delivery = delivery
        self._journal = journal

    def send(self, device_id: str, topic: str | None, payload: bytes, qos: int) -> Fate:
        """Send to one of the device's own `$oc` topics, by default `sys/messages/down`.

        A device with stored state gets the QoS that is asked for, whether it has subscribed or not: that is what it
        asked to be kept. Another gets at most the QoS of its subscription. Raises UnknownDevice, DeviceOffline when
        the message can neither be sent nor wait, and InvalidInput for a topic that is not the device's own.
        """
        if self._registry.get(device_id) is None:
            raise UnknownDevice(device_id)
        topic = message_topic(device_id) if topic is None else topic
        if realm(device_id, topic) is not Realm.SYSTEM or topic_error(topic) is not None:
            raise InvalidInput(f"topic: expected one below '$oc/devices/{device_id}/', without wildcards")
        fate = self._delivery.to_device(device_id, Message(topic, payload), self._qos(device_id, topic, qos))
        seq = sequence_number(payload)
        self._journal.write(
            "downlink",
            device=device_id,
            **({} if seq is None else {"seq": seq}),
            queued=fate is Fate.WAITING,
        )
        self._journal.flush()
        return fate

    def _qos(self, device_id: str, topic: str, asked: int) -> int:
        session = self._sessions.get(device_id)
        if session is not None:
            return asked if session.keep_s else min(asked, session.downlinks.granted_qos(topic))
        if self._stored.get(device_id) is None:
            raise DeviceOffline(f"device {device_id!r} is not online and has no stored state")
        if not asked:
            raise DeviceOffline(f"device {device_id!r} is not online, and QoS 0 does not wait")
        return asked
