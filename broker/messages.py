"""Messages to devices that expect no answer: delivered now, or when a device is back.

The vendor's messages wait in a mailbox for every device; our own for those only that have stored state.
"""

from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

import orjson

from broker.access.delivery import Delivery, Fate
from broker.access.payloads import Json, sequence_number
from broker.access.queue import Message
from broker.access.topics import Realm, message_topic, realm
from broker.auth.registry import Registry
from broker.clock import Clock
from broker.errors import DeviceOffline, InvalidInput, UnknownDevice
from broker.journal import Journal
from broker.mailbox import LARGEST_PAYLOAD, DeviceMessage, Failure, Mailbox, Status
from broker.sessions import Sessions
from broker.stored import StoredStates
from wire.mqtt import NO_PROPERTIES, Properties, topic_error


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message as the vendor's API takes one: `content` is text, or JSON; `topic` is whole, None for the usual one.

    `request` is what is shown of it afterwards.
    """

    content: Json = field(repr=False)
    request: Mapping[str, Json] = field(repr=False)
    message_id: str | None = None
    name: str | None = None
    encoding: Literal["none", "base64"] = "none"
    payload_format: Literal["standard", "raw"] = "standard"
    topic: str | None = None
    properties: Properties = NO_PROPERTIES
    ttl: timedelta = timedelta(days=1)

    def payload(self, message_id: str) -> bytes:
        """What goes down (iot_06_v5_3017); base64 is for bytes that go as they are. Raises InvalidInput."""
        if self.encoding == "base64":
            return _decoded(self.content)
        if self.payload_format == "raw":
            return self.content.encode() if isinstance(self.content, str) else _encoded(self.content)
        named = {} if self.name is None else {"name": self.name}
        return _encoded({**named, "id": message_id, "content": self.content})


class Messages:
    """Sends messages; the journal knows them by their sequence numbers, never by their content."""

    def __init__(
        self,
        registry: Registry,
        sessions: Sessions,
        stored: StoredStates,
        delivery: Delivery,
        journal: Journal,
        clock: Clock,
        ids: Iterator[str],
    ) -> None:
        self._registry = registry
        self._sessions = sessions
        self._stored = stored
        self._delivery = delivery
        self._journal = journal
        self._clock = clock
        self._ids = ids

    async def post(self, device_id: str, new: NewMessage) -> DeviceMessage:
        """Send one of the vendor's messages, or let it wait until the device is in and has subscribed to its topic.

        A device that is in without having subscribed does not get it. Raises UnknownDevice, and InvalidInput for an id
        that a message of this device has, for another's topic, and for a payload that cannot be made or is too large.
        """
        mailbox = self._mailbox(device_id)
        topic = message_topic(device_id) if new.topic is None else new.topic
        if realm(device_id, topic) is Realm.FOREIGN:
            raise InvalidInput("topic_full_name: expected a topic of the device's own, or one without '$'")
        message_id = next(self._ids) if new.message_id is None else new.message_id
        if message_id in mailbox:
            raise InvalidInput("message_id: the device has a message of this id")
        payload = new.payload(message_id)
        if len(payload) > LARGEST_PAYLOAD:
            raise InvalidInput(f"message: expected at most {LARGEST_PAYLOAD} bytes, not {len(payload)}")
        utc, message = self._clock.utc(), Message(topic, payload, new.properties)
        one = DeviceMessage(message_id, _encoded(new.request), message, utc, utc + new.ttl)
        self._stored.mailboxes[device_id] = mailbox
        self._place(device_id, mailbox, one)
        self._journal.flush()
        return one

    async def kept(self, device_id: str) -> Mailbox:
        """Return the messages of a device as they stand now; raises UnknownDevice."""
        mailbox = self._mailbox(device_id)
        self._delivery.expire(device_id, mailbox)
        return mailbox

    async def forget(self, device_id: str, message_id: str) -> None:
        """Forget a message, sent or not, if there is one of this id; raises UnknownDevice."""
        if self._mailbox(device_id).remove(message_id):
            self._journal.write("message", device=device_id, message_id=message_id, status="DELETED")
            self._journal.flush()

    def _mailbox(self, device_id: str) -> Mailbox:
        if self._registry.get(device_id) is None:
            raise UnknownDevice(device_id)
        return self._stored.mailboxes.get(device_id) or Mailbox()

    def _place(self, device_id: str, mailbox: Mailbox, one: DeviceMessage) -> None:
        session = self._sessions.reachable(device_id)
        if session is None and one.expires_at == one.created_at:
            one.finish(Status.FAILED, one.created_at, Failure.OFFLINE)
        if session is not None and self._delivery.subscribed_qos(session, one.message.topic) is None:
            one.finish(Status.FAILED, one.created_at, Failure.NOT_SUBSCRIBED)
        self._delivery.keep(device_id, mailbox, one)
        if one.status is not Status.PENDING:
            return
        self._note(device_id, one.message.payload, message_id=one.message_id, queued=session is None)
        if session is not None:
            self._delivery.send_waiting(session, mailbox)

    async def send(self, device_id: str, topic: str | None, payload: bytes, qos: int) -> Fate:
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
        self._note(device_id, payload, queued=fate is Fate.WAITING)
        self._journal.flush()
        return fate

    def _note(self, device_id: str, payload: bytes, **more: object) -> None:
        seq = sequence_number(payload)
        self._journal.write("downlink", device=device_id, **({} if seq is None else {"seq": seq}), **more)

    def _qos(self, device_id: str, topic: str, asked: int) -> int:
        session = self._sessions.reachable(device_id)
        if session is not None:
            return asked if session.keep_s else min(asked, session.downlinks.granted_qos(topic))
        if self._stored.get(device_id) is None:
            raise DeviceOffline(f"{self._sessions.unreachable(device_id)}, and has no stored state")
        if not asked:
            raise DeviceOffline(f"device {device_id!r} is not online, and QoS 0 does not wait")
        return asked


def _encoded(value: Json) -> bytes:
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        raise InvalidInput(f"message: {error}") from None


def _decoded(text: Json) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (ValueError, TypeError):
        raise InvalidInput("message: expected base64") from None
