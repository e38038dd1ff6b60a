"""What a connection says of itself after CONNECT (MQTT 3.1.1 and 5.0 §3.2, §3.12 to §3.14)."""

from typing import ClassVar, Self

from wire.mqtt.primitives import PacketType, ProtocolError, Reader, frame, require_flags
from wire.mqtt.properties import NO_PROPERTIES, Properties, encode_properties, read_properties
from wire.mqtt.reason import CONNACK_CODES, DISCONNECT_CODES, ReasonCode, encode_reason
from wire.record import record

REFUSED_VERSION = b"\x00\x01"


@record
class ConnAck:
    """§3.2. `code` 0 accepts.

    In 3.1.1 it is 1 version, 2 client id, 3 unavailable, 4 bad credentials, 5 not allowed; in 5.0 a reason code.
    """

    KIND: ClassVar[PacketType] = PacketType.CONNACK

    code: int = 0
    session_present: bool = False
    properties: Properties = NO_PROPERTIES

    def encode(self, version: int = 4) -> bytes:
        if version != 5:
            return bytes((0x20, 2, self.session_present, self.code))
        code = encode_reason(CONNACK_CODES, self.code)
        return frame(0x20, bytes((self.session_present,)) + code + encode_properties(self.properties, self.KIND))

    @classmethod
    def decode(cls, flags: int, body: bytes, version: int = 4) -> Self:
        require_flags(flags, 0)
        if version == 5:
            return cls._decode_5(body)
        if len(body) != 2 or body[0] > 1:
            raise ProtocolError("a malformed CONNACK")
        if body[0] and body[1]:
            raise ProtocolError("session present in a refusing CONNACK [MQTT-3.2.2-4]")
        return cls(body[1], bool(body[0]))

    @classmethod
    def _decode_5(cls, body: bytes) -> Self:
        if body == REFUSED_VERSION:  # how a server that knows only 3.1.1 refuses 5.0 [MQTT-3.1.2-2]
            return cls(ReasonCode.UNSUPPORTED_PROTOCOL_VERSION)
        reader = Reader(body)
        present, code = reader.u8(), reader.reason(CONNACK_CODES)
        if present > 1:
            raise ProtocolError(f"reserved CONNACK flags {present:#04x} [MQTT-3.2.2-1]")
        if present and code:
            raise ProtocolError("session present in a refusing CONNACK [MQTT-3.2.2-6]", ReasonCode.PROTOCOL_ERROR)
        properties = read_properties(reader, cls.KIND)
        reader.end()
        return cls(code, bool(present), properties)


@record
class Disconnect:
    """§3.14. A server sends it in 5.0 alone; 3.1.1 knows no code."""

    KIND: ClassVar[PacketType] = PacketType.DISCONNECT

    code: int = ReasonCode.NORMAL_DISCONNECTION
    properties: Properties = NO_PROPERTIES

    def encode(self, version: int = 4) -> bytes:
        plain = self.properties is NO_PROPERTIES
        if version != 5 or (plain and not self.code):
            return b"\xe0\x00"
        tail = b"" if plain else encode_properties(self.properties, self.KIND)
        return frame(0xE0, encode_reason(DISCONNECT_CODES, self.code) + tail)

    @classmethod
    def decode(cls, flags: int, body: bytes, version: int = 4) -> Self:
        require_flags(flags, 0)
        if version != 5:
            _require_empty(body)
        if not body:
            return cls()
        reader = Reader(body)
        code = reader.reason(DISCONNECT_CODES)
        # a length below 2 leaves the properties out (5.0 §3.14.2.2.1)
        properties = read_properties(reader, cls.KIND) if reader else NO_PROPERTIES
        reader.end()
        return cls(code, properties)


@record
class Empty:
    """A packet that is a fixed header and nothing more."""

    KIND: ClassVar[PacketType]

    def encode(self, version: int = 4) -> bytes:  # noqa: ARG002 - every packet can be asked for a version
        return bytes((self.KIND << 4, 0))

    @classmethod
    def decode(cls, flags: int, body: bytes, version: int = 4) -> Self:  # noqa: ARG003 - as above
        require_flags(flags, 0)
        _require_empty(body)
        return cls()


@record
class PingReq(Empty):
    """§3.12."""

    KIND: ClassVar[PacketType] = PacketType.PINGREQ


@record
class PingResp(Empty):
    """§3.13."""

    KIND: ClassVar[PacketType] = PacketType.PINGRESP


def _require_empty(body: bytes) -> None:
    if body:
        raise ProtocolError(f"{len(body)} bytes in a packet that has no body")
