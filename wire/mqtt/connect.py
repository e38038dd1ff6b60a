"""The packets of a connection's life (MQTT 3.1.1 §3.1, §3.2, §3.12 to §3.14), from CONNECT to DISCONNECT."""

from dataclasses import dataclass, field
from typing import ClassVar, Self

from wire.mqtt.primitives import (
    ProtocolError,
    Reader,
    UnsupportedVersion,
    encode_binary,
    encode_string,
    encode_u16,
    frame,
    require_flags,
)
from wire.mqtt.topics import topic_error

PROTOCOL_NAMES = {3: "MQIsdp", 4: "MQTT"}


@dataclass(frozen=True, slots=True)
class Will:
    """What the server is to publish when the connection is lost (§3.1.2.5)."""

    topic: str
    payload: bytes = field(repr=False)
    qos: int = 0
    retain: bool = False


@dataclass(frozen=True, slots=True)
class Connect:
    """§3.1. `level` is the protocol level: 4 for MQTT 3.1.1, 3 for MQTT 3.1; `keepalive` is in seconds."""

    KIND: ClassVar[int] = 1

    client_id: str
    username: str | None = None
    password: bytes | None = field(default=None, repr=False)
    keepalive: int = 60
    clean_session: bool = True
    will: Will | None = None
    level: int = 4

    def encode(self) -> bytes:
        flags = 0x02 if self.clean_session else 0
        tail = [encode_string(self.client_id)]
        if self.will is not None:
            flags |= _will_flags(self.will)
            tail += encode_string(self.will.topic), encode_binary(self.will.payload)
        if self.username is not None:
            flags |= 0x80
            tail.append(encode_string(self.username))
        if self.password is not None:
            if self.username is None:
                raise ValueError("a password without a user name [MQTT-3.1.2-22]")
            flags |= 0x40
            tail.append(encode_binary(self.password))
        level = encode_string(PROTOCOL_NAMES[self.level]) + bytes((self.level,))
        keepalive = encode_u16(self.keepalive, "keepalive")
        return frame(0x10, b"".join((level, bytes((flags,)), keepalive, *tail)))

    @classmethod
    def decode(cls, flags: int, body: bytes) -> Self:
        require_flags(flags, 0)
        reader = Reader(body)
        name, level = reader.string(), reader.u8()
        if name not in PROTOCOL_NAMES.values():
            raise ProtocolError(f"protocol name {name[:40]!r}, expected 'MQTT' [MQTT-3.1.2-1]")
        if PROTOCOL_NAMES.get(level) != name:
            raise UnsupportedVersion(name, level)
        flags, keepalive = reader.u8(), reader.u16()
        _check_connect_flags(flags)
        packet = cls(
            level=level,
            keepalive=keepalive,
            clean_session=bool(flags & 0x02),
            client_id=reader.string(),
            will=_decode_will(reader, flags) if flags & 0x04 else None,
            username=reader.string() if flags & 0x80 else None,
            password=reader.binary() if flags & 0x40 else None,
        )
        reader.end()
        return packet


def _check_connect_flags(flags: int) -> None:
    if flags & 0x01:
        raise ProtocolError("reserved CONNECT flag set [MQTT-3.1.2-3]")
    if flags & 0x40 and not flags & 0x80:
        raise ProtocolError("a password without a user name [MQTT-3.1.2-22]")
    if flags & 0x18 == 0x18:
        raise ProtocolError("will QoS 3 [MQTT-3.1.2-14]")
    if flags & 0x38 and not flags & 0x04:
        raise ProtocolError("will QoS or retain without a will [MQTT-3.1.2-13, -15]")


def _will_flags(will: Will) -> int:
    if will.qos not in (0, 1, 2):
        raise ValueError(f"will QoS {will.qos}, expected 0, 1 or 2")
    return 0x04 | will.qos << 3 | (0x20 if will.retain else 0)


def _decode_will(reader: Reader, flags: int) -> Will:
    will = Will(reader.string(), reader.binary(), flags >> 3 & 0x03, bool(flags & 0x20))
    if problem := topic_error(will.topic):
        raise ProtocolError(f"a will with {problem}")
    return will


@dataclass(frozen=True, slots=True)
class ConnAck:
    """§3.2. `code` 0 accepts; 1 version, 2 client id, 3 unavailable, 4 bad credentials, 5 not allowed."""

    KIND: ClassVar[int] = 2

    code: int = 0
    session_present: bool = False

    def encode(self) -> bytes:
        return bytes((0x20, 2, self.session_present, self.code))

    @classmethod
    def decode(cls, flags: int, body: bytes) -> Self:
        require_flags(flags, 0)
        if len(body) != 2 or body[0] > 1:
            raise ProtocolError("a malformed CONNACK")
        if body[0] and body[1]:
            raise ProtocolError("session present in a refusing CONNACK [MQTT-3.2.2-4]")
        return cls(body[1], bool(body[0]))


@dataclass(frozen=True, slots=True)
class Empty:
    """A packet that is a fixed header and nothing more."""

    KIND: ClassVar[int]

    def encode(self) -> bytes:
        return bytes((self.KIND << 4, 0))

    @classmethod
    def decode(cls, flags: int, body: bytes) -> Self:
        require_flags(flags, 0)
        if body:
            raise ProtocolError(f"{len(body)} bytes in a packet that has no body")
        return cls()


@dataclass(frozen=True, slots=True)
class PingReq(Empty):
    """§3.12."""

    KIND: ClassVar[int] = 12


@dataclass(frozen=True, slots=True)
class PingResp(Empty):
    """§3.13."""

    KIND: ClassVar[int] = 13


@dataclass(frozen=True, slots=True)
class Disconnect(Empty):
    """§3.14."""

    KIND: ClassVar[int] = 14
