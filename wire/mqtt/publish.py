"""Messages and their acknowledgement (MQTT 3.1.1 §3.3, §3.4)."""

from dataclasses import dataclass, field
from typing import ClassVar, Self

from wire.mqtt.primitives import (
    ProtocolError,
    decode_only_packet_id,
    decode_string,
    encode_packet_id,
    encode_remaining_length,
    encode_string,
    unpack_u16,
)
from wire.mqtt.topics import topic_error


@dataclass(frozen=True, slots=True)
class Publish:
    """§3.3. `packet_id` is 0 exactly when `qos` is 0.

    QoS 2 decodes, so that a server can say why it closes. The payload never shows in a repr: it may hold
    a secret.
    """

    KIND: ClassVar[int] = 3

    topic: str
    payload: bytes = field(default=b"", repr=False)
    qos: int = 0
    packet_id: int = 0
    retain: bool = False
    dup: bool = False

    def encode(self) -> bytes:
        if self.qos not in (0, 1, 2):
            raise ValueError(f"QoS {self.qos}, expected 0, 1 or 2")
        first = bytes((0x30 | self.dup << 3 | self.qos << 1 | self.retain,))
        topic = encode_string(self.topic)
        identifier = encode_packet_id(self.packet_id) if self.qos else b""
        length = encode_remaining_length(len(topic) + len(identifier) + len(self.payload))
        return b"".join((first, length, topic, identifier, self.payload))

    @classmethod
    def decode(cls, flags: int, body: bytes) -> Self:
        qos = flags >> 1 & 0x03
        if qos == 3:
            raise ProtocolError("QoS 3 [MQTT-3.3.1-4]")
        if not qos and flags & 0x08:
            raise ProtocolError("DUP on QoS 0 [MQTT-3.3.1-2]")
        end = 2 + unpack_u16(body)[0] if len(body) >= 2 else 2
        start = end + 2 if qos else end
        if start > len(body):
            raise ProtocolError(f"the packet ends {start - len(body)} bytes too early")
        topic = decode_string(body[2:end])
        if problem := topic_error(topic):
            raise ProtocolError(problem)
        packet_id = unpack_u16(body, end)[0] if qos else 0
        if qos and not packet_id:
            raise ProtocolError("packet identifier 0 [MQTT-2.3.1-1]")
        return cls(topic, body[start:], qos, packet_id, bool(flags & 0x01), bool(flags & 0x08))


@dataclass(frozen=True, slots=True)
class PubAck:
    """§3.4."""

    KIND: ClassVar[int] = 4

    packet_id: int

    def encode(self) -> bytes:
        return b"\x40\x02" + encode_packet_id(self.packet_id)

    @classmethod
    def decode(cls, flags: int, body: bytes) -> Self:
        return cls(decode_only_packet_id(flags, body))
