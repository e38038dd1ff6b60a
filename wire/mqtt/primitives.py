"""MQTT's basic data types (MQTT 3.1.1 §1.5, §2.2.3): integers, strings, and the remaining length.

Errors:
    ProtocolError: the peer's bytes are not MQTT as we speak it; the connection must be closed.
    └── UnsupportedVersion: a well-formed CONNECT of a protocol level that we do not speak.
"""

import struct

MAX_REMAINING_LENGTH = 268_435_455

pack_u16 = struct.Struct("!H").pack
unpack_u16 = struct.Struct("!H").unpack_from


class ProtocolError(ValueError):
    """The peer broke the protocol; nothing after this byte can be trusted."""


class UnsupportedVersion(ProtocolError):
    """A CONNECT of another protocol level [MQTT-3.1.2-2]: answer return code 1, then close."""

    def __init__(self, name: str, level: int) -> None:
        super().__init__(f"protocol {name!r} level {level}, expected 'MQTT' level 4")
        self.level = level


def encode_remaining_length(length: int) -> bytes:
    """Encode the fixed header's length field, one to four bytes."""
    if length < 128:
        return bytes((length,))
    if length > MAX_REMAINING_LENGTH:
        raise ValueError(f"a packet body of {length} bytes, at most {MAX_REMAINING_LENGTH} can be sent")
    out = bytearray()
    while True:
        length, digit = length >> 7, length & 0x7F
        out.append(digit | 0x80 if length else digit)
        if not length:
            return bytes(out)


def frame(first_byte: int, body: bytes) -> bytes:
    """Put the fixed header before a body."""
    return bytes((first_byte,)) + encode_remaining_length(len(body)) + body


def require_flags(flags: int, wanted: int) -> None:
    """Refuse reserved bits of the fixed header that are not as specified [MQTT-2.2.2-2]."""
    if flags != wanted:
        raise ProtocolError(f"fixed header flags {flags:#06b}, expected {wanted:#06b}")


def encode_u16(value: int, name: str, least: int = 0) -> bytes:
    """Encode an integer of two bytes; `name` says which one in the error."""
    if not least <= value <= 65_535:
        raise ValueError(f"{name} {value}, expected {least} to 65535")
    return pack_u16(value)


def encode_packet_id(value: int) -> bytes:
    """Encode a packet identifier, which is never zero [MQTT-2.3.1-1]."""
    return encode_u16(value, "packet identifier", least=1)


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

    __slots__ = ("_at", "_body")

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._body)

    def take(self, count: int) -> bytes:
        start, self._at = self._at, self._at + count
        if self._at > len(self._body):
            raise ProtocolError(f"the packet ends {self._at - len(self._body)} bytes too early")
        return self._body[start : self._at]

    def u8(self) -> int:
        return self.take(1)[0]

    def u16(self) -> int:
        return int(unpack_u16(self.take(2))[0])

    def binary(self) -> bytes:
        return self.take(self.u16())

    def string(self) -> str:
        return decode_string(self.binary())

    def rest(self) -> bytes:
        start, self._at = self._at, len(self._body)
        return self._body[start:]

    def packet_id(self) -> int:
        """Read a packet identifier, which is never zero [MQTT-2.3.1-1]."""
        value = self.u16()
        if not value:
            raise ProtocolError("packet identifier 0")
        return value

    def end(self) -> None:
        """State that nothing may be left."""
        if self:
            raise ProtocolError(f"{len(self._body) - self._at} bytes too many in the packet")


def decode_only_packet_id(flags: int, body: bytes) -> int:
    """Decode a packet that is a packet identifier and nothing more."""
    require_flags(flags, 0)
    reader = Reader(body)
    packet_id = reader.packet_id()
    reader.end()
    return packet_id
