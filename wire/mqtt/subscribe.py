"""Subscriptions and their acknowledgements (MQTT 3.1.1 §3.8 to §3.11)."""

from dataclasses import dataclass
from typing import ClassVar, Self

from wire.mqtt.primitives import (
    ProtocolError,
    Reader,
    decode_only_packet_id,
    encode_packet_id,
    encode_string,
    frame,
    require_flags,
)
from wire.mqtt.topics import filter_error


@dataclass(frozen=True, slots=True)
class Subscribe:
    """§3.8. `filters` pairs each topic filter with the QoS asked for, in the order of the packet."""

    KIND: ClassVar[int] = 8

    packet_id: int
    filters: tuple[tuple[str, int], ...]

    def encode(self) -> bytes:
        body = b"".join(encode_string(text) + bytes((qos,)) for text, qos in self.filters)
        return frame(0x82, encode_packet_id(self.packet_id) + body)

    @classmethod
    def decode(cls, flags: int, body: bytes) -> Self:
        require_flags(flags, 0x02)
        reader = Reader(body)
        packet_id, filters = reader.packet_id(), []
        while reader:
            text, qos = _topic_filter(reader), reader.u8()
            if qos > 2:
                raise ProtocolError(f"requested QoS byte {qos:#04x} [MQTT-3-8.3-4]")
            filters.append((text, qos))
        if not filters:
            raise ProtocolError("SUBSCRIBE without a filter [MQTT-3.8.3-3]")
        return cls(packet_id, tuple(filters))


@dataclass(frozen=True, slots=True)
class SubAck:
    """§3.9. `codes` answers the filters in order: the granted QoS, or 0x80 for a failure."""

    KIND: ClassVar[int] = 9

    packet_id: int
    codes: tuple[int, ...]

    def encode(self) -> bytes:
        return frame(0x90, encode_packet_id(self.packet_id) + bytes(self.codes))

    @classmethod
    def decode(cls, flags: int, body: bytes) -> Self:
        require_flags(flags, 0)
        reader = Reader(body)
        packet_id, codes = reader.packet_id(), reader.rest()
        if not codes or any(code not in (0, 1, 2, 0x80) for code in codes):
            raise ProtocolError("a malformed SUBACK [MQTT-3.9.3-2]")
        return cls(packet_id, tuple(codes))


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """§3.10."""

    KIND: ClassVar[int] = 10

    packet_id: int
    filters: tuple[str, ...]

    def encode(self) -> bytes:
        return frame(0xA2, encode_packet_id(self.packet_id) + b"".join(map(encode_string, self.filters)))

    @classmethod
    def decode(cls, flags: int, body: bytes) -> Self:
        require_flags(flags, 0x02)
        reader = Reader(body)
        packet_id, filters = reader.packet_id(), []
        while reader:
            filters.append(_topic_filter(reader))
        if not filters:
            raise ProtocolError("UNSUBSCRIBE without a filter [MQTT-3.10.3-2]")
        return cls(packet_id, tuple(filters))


@dataclass(frozen=True, slots=True)
class UnsubAck:
    """§3.11."""

    KIND: ClassVar[int] = 11

    packet_id: int

    def encode(self) -> bytes:
        return b"\xb0\x02" + encode_packet_id(self.packet_id)

    @classmethod
    def decode(cls, flags: int, body: bytes) -> Self:
        return cls(decode_only_packet_id(flags, body))


def _topic_filter(reader: Reader) -> str:
    text = reader.string()
    if problem := filter_error(text):
        raise ProtocolError(problem)
    return text
