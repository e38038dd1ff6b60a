"""Messages and their acknowledgement (MQTT 3.1.1 and 5.0 §3.3, §3.4)."""

from dataclasses import field
from typing import ClassVar, Self

from wire.mqtt.primitives import (
    PacketType,
    ProtocolError,
    Reader,
    decode_only_packet_id,
    decode_string,
    encode_packet_id,
    encode_string,
    encode_varint,
    frame,
    require_flags,
    unpack_u16,
)
from wire.mqtt.properties import NO_PROPERTIES, Properties, decode_properties, encode_properties, read_properties
from wire.mqtt.reason import PUBACK_CODES, PUBREL_CODES, ReasonCode, ReasonCodes, encode_reason
from wire.mqtt.topics import topic_error
from wire.record import record


@record
class Publish:
    """§3.3. `packet_id` is 0 exactly when `qos` is 0; `topic` may be empty beside a topic alias.

    QoS 2 decodes, so that a server can say why it closes. The payload never shows in a repr: it may hold
    a secret.
    """

    KIND: ClassVar[PacketType] = PacketType.PUBLISH

    topic: str
    payload: bytes = field(default=b"", repr=False)
    qos: int = 0
    packet_id: int = 0
    retain: bool = False
    dup: bool = False
    properties: Properties = NO_PROPERTIES

    def encode(self, version: int = 4) -> bytes:
        if self.qos not in (0, 1, 2):
            raise ValueError(f"QoS {self.qos}, expected 0, 1 or 2")
        first = bytes((0x30 | self.dup << 3 | self.qos << 1 | self.retain,))
        topic = encode_string(self.topic)
        head = encode_packet_id(self.packet_id) if self.qos else b""
        if version == 5:
            head += encode_properties(self.properties, PacketType.PUBLISH)
        length = encode_varint(len(topic) + len(head) + len(self.payload))
        return b"".join((first, length, topic, head, self.payload))

    @classmethod
    def decode(cls, flags: int, body: bytes, version: int = 4) -> Self:
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
        packet_id = unpack_u16(body, end)[0] if qos else 0
        if qos and not packet_id:
            raise ProtocolError("packet identifier 0 [MQTT-2.3.1-1]")
        properties = NO_PROPERTIES
        if version == 5:
            properties, start = decode_properties(body, start, PacketType.PUBLISH)
        if (topic or properties.topic_alias is None) and (problem := topic_error(topic)):
            raise ProtocolError(problem, ReasonCode.TOPIC_NAME_INVALID if topic else ReasonCode.PROTOCOL_ERROR)
        return cls(topic, body[start:], qos, packet_id, flags & 0x01 != 0, flags & 0x08 != 0, properties)


@record
class Acknowledgement:
    """What answers a PUBLISH, or the answer to one, by its packet identifier (§3.4 to §3.7).

    3.1.1 knows the packet identifier alone.
    """

    KIND: ClassVar[PacketType]
    HEAD: ClassVar[bytes]
    CODES: ClassVar[ReasonCodes]

    packet_id: int
    code: int = ReasonCode.SUCCESS
    properties: Properties = NO_PROPERTIES

    def encode(self, version: int = 4) -> bytes:
        packet_id = encode_packet_id(self.packet_id)
        plain = self.properties is NO_PROPERTIES
        if version != 5 or (plain and not self.code):
            return self.HEAD + packet_id
        tail = b"" if plain else encode_properties(self.properties, self.KIND)
        return frame(self.HEAD[0], packet_id + encode_reason(self.CODES, self.code) + tail)

    @classmethod
    def decode(cls, flags: int, body: bytes, version: int = 4) -> Self:
        require_flags(flags, cls.HEAD[0] & 0x0F)
        if version != 5 or len(body) == 2:
            return cls(decode_only_packet_id(0, body))
        reader = Reader(body)
        packet_id, code = reader.packet_id(), reader.reason(cls.CODES)
        # a length below 4 leaves the properties out (5.0 §3.4.2.2.1)
        properties = read_properties(reader, cls.KIND) if reader else NO_PROPERTIES
        reader.end()
        return cls(packet_id, code, properties)


@record
class PubAck(Acknowledgement):
    """§3.4: a message of QoS 1 was taken."""

    KIND: ClassVar[PacketType] = PacketType.PUBACK
    HEAD: ClassVar[bytes] = b"\x40\x02"
    CODES: ClassVar[ReasonCodes] = PUBACK_CODES


@record
class PubRec(Acknowledgement):
    """§3.5: a message of QoS 2 was taken, and is not known to be released."""

    KIND: ClassVar[PacketType] = PacketType.PUBREC
    HEAD: ClassVar[bytes] = b"\x50\x02"
    CODES: ClassVar[ReasonCodes] = PUBACK_CODES


@record
class PubRel(Acknowledgement):
    """§3.6: its sender will not send it again."""

    KIND: ClassVar[PacketType] = PacketType.PUBREL
    HEAD: ClassVar[bytes] = b"\x62\x02"
    CODES: ClassVar[ReasonCodes] = PUBREL_CODES


@record
class PubComp(Acknowledgement):
    """§3.7: its receiver will not take it again."""

    KIND: ClassVar[PacketType] = PacketType.PUBCOMP
    HEAD: ClassVar[bytes] = b"\x70\x02"
    CODES: ClassVar[ReasonCodes] = PUBREL_CODES
