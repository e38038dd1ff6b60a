"""MQTT's basic data types (MQTT 3.1.1 §1.5, §2.2; 5.0 §1.5, §2.1): integers, strings, packet types.

Errors:
    ProtocolError: the peer's bytes are not MQTT as we speak it; the connection must be closed.
    └── UnsupportedVersion: a well-formed CONNECT of a protocol level that we do not speak.
"""

import struct
from enum import IntEnum

from wire.mqtt.reason import ReasonCode, ReasonCodes

MAX_VARINT = 268_435_455
MAX_REMAINING_LENGTH = MAX_VARINT

pack_u16 = struct.Struct("!H").pack
unpack_u16 = struct.Struct("!H").unpack_from


class PacketType(IntEnum):
    """Table 2.1. WILL is no packet: it is the part of CONNECT that has properties of its own."""

    WILL = 0
    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    PUBREC = 5
    PUBREL = 6
    PUBCOMP = 7
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14


class ProtocolError(ValueError):
    """The peer broke the protocol; nothing after this byte can be trusted.

    `code` is what a peer of MQTT 5.0 may be told before the close (§4.13).
    """

    def __init__(self, message: str, code: ReasonCode = ReasonCode.MALFORMED_PACKET) -> None:
        super().__init__(message)
        self.code = code


class UnsupportedVersion(ProtocolError):
    """A CONNECT of another protocol level [MQTT-3.1.2-2]: answer return code 1, then close."""

    def __init__(self, name: str, level: int) -> None:
        message = f"protocol {name!r} level {level}, expected 'MQTT' level 4 or 5"
        super().__init__(message, ReasonCode.UNSUPPORTED_PROTOCOL_VERSION)
        self.level = level


def encode_varint(value: int) -> bytes:
    """Encode a variable byte integer, as the fixed header's length is one, in one to four bytes."""
    if value < 128:
        return bytes((value,))
    if value > MAX_VARINT:
        raise ValueError(f"a length or number of {value}, at most {MAX_VARINT} can be sent")
    out = bytearray()
    while True:
        value, digit = value >> 7, value & 0x7F
        out.append(digit | 0x80 if value else digit)
        if not value:
            return bytes(out)


def remaining_length(buffer: bytes, at: int) -> tuple[int, int]:
    """Read the length field at `at`: its value and where the body starts (0 while it is incomplete)."""
    length = 0
    if at < len(buffer) and buffer[at] < 0x80:  # as nearly all are
        return buffer[at], at + 1
    for shift in (0, 7, 14, 21):
        if at >= len(buffer):
            return 0, 0
        digit = buffer[at]
        at += 1
        length |= (digit & 0x7F) << shift
        if digit < 0x80:
            return length, at
    raise ProtocolError("a remaining length of more than four bytes [MQTT-2.2.3]")


def packet_size(body: int) -> int:
    """The size of a packet with a body of this size: a byte for its type and the length field come before it."""
    return 1 + len(encode_varint(body)) + body


def largest_body(size: int) -> int:
    """The size of the largest body that fits into a packet of this size; -1 when none does."""
    return next((body for digits in (1, 2, 3, 4) if (body := size - 1 - digits) < 1 << 7 * digits), MAX_VARINT)


def frame(first_byte: int, body: bytes) -> bytes:
    """Put the fixed header before a body."""
    return bytes((first_byte,)) + encode_varint(len(body)) + body


def require_flags(flags: int, wanted: int) -> None:
    """Refuse reserved bits of the fixed header that are not as specified [MQTT-2.2.2-2]."""
    if flags != wanted:
        raise ProtocolError(f"fixed header flags {flags:#06b}, expected {wanted:#06b}")


def encode_keepalive(seconds: int) -> bytes:
    """Encode a keepalive; 0 turns it off."""
    if not 0 <= seconds <= 65_535:
        raise ValueError(f"keepalive {seconds}, expected 0 to 65535")
    return pack_u16(seconds)


def encode_packet_id(value: int) -> bytes:
    """Encode a packet identifier, which is never zero [MQTT-2.3.1-1]."""
    if not 1 <= value <= 65_535:
        raise ValueError(f"packet identifier {value}, expected 1 to 65535")
    return pack_u16(value)


def encode_binary(data: bytes) -> bytes:
    """Prefix binary data with its length of two bytes."""
    if len(data) > 65_535:
        raise ValueError(f"a field of {len(data)} bytes, at most 65535 can be sent")
    return pack_u16(len(data)) + data


def encode_string(text: str) -> bytes:
    """Encode a UTF-8 string; U+0000 and lone surrogates cannot be sent [MQTT-1.5.3-1, -2]."""
    if "\0" in text:
        raise ValueError(f"a string with U+0000: {text[:40]!r}")
    return encode_binary(text.encode())


def decode_string(data: bytes) -> str:
    """Decode the bytes of a UTF-8 string, strictly."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ProtocolError(f"a string that is not UTF-8: {error.reason} at byte {error.start}") from None
    if "\0" in text:
        raise ProtocolError("a string with U+0000")
    return text


class Reader:
    """A cursor over one packet's body that turns every shortage into ProtocolError."""

    __slots__ = ("_body", "at")

    def __init__(self, body: bytes, at: int = 0) -> None:
        self._body = body
        self.at = at

    def __bool__(self) -> bool:
        return self.at < len(self._body)

    def take(self, count: int) -> bytes:
        start, self.at = self.at, self.at + count
        if self.at > len(self._body):
            raise ProtocolError(f"the packet ends {self.at - len(self._body)} bytes too early")
        return self._body[start : self.at]

    def u8(self) -> int:
        return self.take(1)[0]

    def u16(self) -> int:
        return int.from_bytes(self.take(2))

    def u32(self) -> int:
        return int.from_bytes(self.take(4))

    def varint(self) -> int:
        """Read a variable byte integer, which MQTT 5.0 wants in its shortest form [MQTT-1.5.5-1]."""
        value = 0
        for shift in (0, 7, 14, 21):
            digit = self.u8()
            value |= (digit & 0x7F) << shift
            if digit < 0x80:
                if shift and not digit:
                    raise ProtocolError("a variable byte integer longer than it needs to be [MQTT-1.5.5-1]")
                return value
        raise ProtocolError("a variable byte integer of more than four bytes")

    def binary(self) -> bytes:
        return self.take(int.from_bytes(self.take(2)))

    def string(self) -> str:
        return decode_string(self.binary())

    def rest(self) -> bytes:
        start, self.at = self.at, len(self._body)
        return self._body[start:]

    def packet_id(self) -> int:
        """Read a packet identifier, which is never zero [MQTT-2.3.1-1]."""
        value = self.u16()
        if not value:
            raise ProtocolError("packet identifier 0")
        return value

    def reason(self, codes: ReasonCodes) -> ReasonCode:
        """Read a reason code that the packet whose `codes` are given may carry."""
        value = self.u8()
        if (code := codes.get(value)) is None:
            raise ProtocolError(f"reason code {value:#04x} in a packet that cannot carry it")
        return code

    def end(self) -> None:
        """State that nothing may be left."""
        if self:
            raise ProtocolError(f"{len(self._body) - self.at} bytes too many in the packet")


def decode_only_packet_id(flags: int, body: bytes) -> int:
    """Decode a packet that is a packet identifier and nothing more."""
    require_flags(flags, 0)
    if len(body) != 2:
        raise ProtocolError(f"{len(body)} bytes, expected a packet identifier and nothing more")
    packet_id = int(unpack_u16(body)[0])
    if not packet_id:
        raise ProtocolError("packet identifier 0 [MQTT-2.3.1-1]")
    return packet_id
