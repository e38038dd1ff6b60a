"""CONNECT (MQTT 3.1.1 and 5.0 §3.1): who wants in, in which version, and what is to be said when it is gone."""

from dataclasses import field
from typing import ClassVar, Self

from wire.mqtt.primitives import (
    PacketType,
    ProtocolError,
    Reader,
    UnsupportedVersion,
    encode_binary,
    encode_keepalive,
    encode_string,
    frame,
    require_flags,
)
from wire.mqtt.properties import NO_PROPERTIES, Properties, encode_properties, read_properties
from wire.mqtt.reason import ReasonCode
from wire.mqtt.topics import topic_error
from wire.record import record

PROTOCOL_NAMES = {3: "MQIsdp", 4: "MQTT", 5: "MQTT"}


@record
class Will:
    """What the server is to publish when the connection is lost (§3.1.2.5)."""

    topic: str
    payload: bytes = field(repr=False)
    qos: int = 0
    retain: bool = False
    properties: Properties = NO_PROPERTIES


@record
class Connect:
    """§3.1. `level` is the protocol level: 5 for MQTT 5.0, 4 for 3.1.1, 3 for 3.1; `keepalive` is in seconds.

    What 5.0 calls clean start is `clean_session`. A CONNECT is encoded as its own level says.
    """

    KIND: ClassVar[PacketType] = PacketType.CONNECT

    client_id: str
    username: str | None = None
    password: bytes | None = field(default=None, repr=False)
    keepalive: int = 60
    clean_session: bool = True
    will: Will | None = None
    level: int = 4
    properties: Properties = NO_PROPERTIES

    def encode(self, version: int = 4) -> bytes:  # noqa: ARG002 - every packet can be asked for a version
        flags = 0x02 if self.clean_session else 0
        tail = [encode_string(self.client_id)]
        if self.will is not None:
            flags |= _will_flags(self.will)
            if self.level == 5:
                tail.append(encode_properties(self.will.properties, PacketType.WILL))
            tail += encode_string(self.will.topic), encode_binary(self.will.payload)
        if self.username is not None:
            flags |= 0x80
            tail.append(encode_string(self.username))
        if self.password is not None:
            if self.username is None and self.level < 5:
                raise ValueError("a password without a user name [MQTT-3.1.2-22]")
            flags |= 0x40
            tail.append(encode_binary(self.password))
        head = encode_string(PROTOCOL_NAMES[self.level]) + bytes((self.level, flags))
        head += encode_keepalive(self.keepalive)
        if self.level == 5:
            head += self._encode_properties()
        return frame(0x10, head + b"".join(tail))

    def _encode_properties(self) -> bytes:
        if problem := _authentication_error(self.properties):
            raise ValueError(problem)
        return encode_properties(self.properties, PacketType.CONNECT)

    @classmethod
    def decode(cls, flags: int, body: bytes, version: int = 4) -> Self:  # noqa: ARG003 - the packet says which
        require_flags(flags, 0)
        reader = Reader(body)
        name, level = reader.string(), reader.u8()
        if name not in PROTOCOL_NAMES.values():
            raise ProtocolError(f"protocol name {name[:40]!r}, expected 'MQTT' [MQTT-3.1.2-1]")
        if PROTOCOL_NAMES.get(level) != name:
            raise UnsupportedVersion(name, level)
        flags, keepalive = reader.u8(), reader.u16()
        _check_connect_flags(flags, level)
        packet = cls(
            level=level,
            keepalive=keepalive,
            clean_session=flags & 0x02 != 0,
            properties=_read_connect_properties(reader) if level == 5 else NO_PROPERTIES,
            client_id=reader.string(),
            will=_read_will(reader, flags, level) if flags & 0x04 else None,
            username=reader.string() if flags & 0x80 else None,
            password=reader.binary() if flags & 0x40 else None,
        )
        reader.end()
        return packet


def _check_connect_flags(flags: int, level: int) -> None:
    if flags & 0x01:
        raise ProtocolError("reserved CONNECT flag set [MQTT-3.1.2-3]")
    if flags & 0xC0 == 0x40 and level < 5:
        raise ProtocolError("a password without a user name [MQTT-3.1.2-22]")
    if flags & 0x18 == 0x18:
        raise ProtocolError("will QoS 3 [MQTT-3.1.2-14; 5.0: -12]")
    if flags & 0x38 and not flags & 0x04:
        raise ProtocolError("will QoS or retain without a will [MQTT-3.1.2-13, -15; 5.0: -11, -13]")


def _authentication_error(properties: Properties) -> str | None:
    if properties.authentication_data is not None and properties.authentication_method is None:
        return "authentication data without a method"  # 5.0 §3.1.2.11.10
    return None


def _read_connect_properties(reader: Reader) -> Properties:
    properties = read_properties(reader, PacketType.CONNECT)
    if problem := _authentication_error(properties):
        raise ProtocolError(problem, ReasonCode.PROTOCOL_ERROR)
    return properties


def _will_flags(will: Will) -> int:
    if will.qos not in (0, 1, 2):
        raise ValueError(f"will QoS {will.qos}, expected 0, 1 or 2")
    return 0x04 | will.qos << 3 | (0x20 if will.retain else 0)


def _read_will(reader: Reader, flags: int, level: int) -> Will:
    properties = read_properties(reader, PacketType.WILL) if level == 5 else NO_PROPERTIES
    will = Will(reader.string(), reader.binary(), flags >> 3 & 0x03, flags & 0x20 != 0, properties)
    if problem := topic_error(will.topic):
        raise ProtocolError(f"a will with {problem}", ReasonCode.TOPIC_NAME_INVALID)
    return will
