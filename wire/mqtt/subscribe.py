"""Subscriptions and their acknowledgements (MQTT 3.1.1 and 5.0 §3.8 to §3.11)."""

from typing import ClassVar, Self

from wire.mqtt.primitives import (
    PacketType,
    ProtocolError,
    Reader,
    decode_only_packet_id,
    encode_packet_id,
    encode_string,
    frame,
    require_flags,
)
from wire.mqtt.properties import NO_PROPERTIES, Properties, encode_properties, read_properties
from wire.mqtt.reason import SUBACK_CODES, UNSUBACK_CODES, ReasonCode, ReasonCodes, encode_reason
from wire.mqtt.topics import filter_error, is_shared, share_error
from wire.record import record


@record
class SubscriptionOptions:
    """What 5.0 says of a subscription beside its QoS (§3.8.3.1).

    `retain_handling`: retained messages come with every subscription (0), with a new one (1), never (2).
    """

    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0


PLAIN = SubscriptionOptions()


@record
class Subscribe:
    """§3.8. `filters` pairs each topic filter with the QoS asked for, in the order of the packet.

    `options` has one entry for each filter, or none at all when all are the default.
    """

    KIND: ClassVar[PacketType] = PacketType.SUBSCRIBE

    packet_id: int
    filters: tuple[tuple[str, int], ...]
    options: tuple[SubscriptionOptions, ...] = ()
    properties: Properties = NO_PROPERTIES

    def encode(self, version: int = 4) -> bytes:
        head = encode_packet_id(self.packet_id)
        if version != 5:
            body = b"".join(encode_string(text) + bytes((qos,)) for text, qos in self.filters)
            return frame(0x82, head + body)
        head += encode_properties(self.properties, PacketType.SUBSCRIBE)
        options = self.options or (PLAIN,) * len(self.filters)
        pairs = zip(self.filters, options, strict=True)
        body = b"".join(encode_string(text) + _encode_options(text, qos, more) for (text, qos), more in pairs)
        return frame(0x82, head + body)

    @classmethod
    def decode(cls, flags: int, body: bytes, version: int = 4) -> Self:
        require_flags(flags, 0x02)
        reader = Reader(body)
        packet_id = reader.packet_id()
        properties = read_properties(reader, PacketType.SUBSCRIBE) if version == 5 else NO_PROPERTIES
        filters, options = [], []
        while reader:
            text, qos = _topic_filter(reader, version), reader.u8()
            if version == 5:
                qos, more = _decode_options(text, qos)
                options.append(more)
            elif qos > 2:
                raise ProtocolError(f"requested QoS byte {qos:#04x} [MQTT-3-8.3-4]")
            filters.append((text, qos))
        if not filters:
            raise ProtocolError("SUBSCRIBE without a filter [MQTT-3.8.3-3]", ReasonCode.PROTOCOL_ERROR)
        plain = all(more == PLAIN for more in options)
        return cls(packet_id, tuple(filters), () if plain else tuple(options), properties)


def _options_error(text: str, qos: int, options: SubscriptionOptions) -> str | None:
    if qos not in (0, 1, 2):
        return f"requested QoS {qos}, expected 0, 1 or 2"
    if options.retain_handling not in (0, 1, 2):
        return f"retain handling {options.retain_handling}, expected 0, 1 or 2"
    if options.no_local and is_shared(text):
        return "no local on a shared subscription [MQTT-3.8.3-4]"
    return None


def _encode_options(text: str, qos: int, options: SubscriptionOptions) -> bytes:
    if problem := _options_error(text, qos, options):
        raise ValueError(problem)
    return bytes((qos | options.no_local << 2 | options.retain_as_published << 3 | options.retain_handling << 4,))


def _decode_options(text: str, byte: int) -> tuple[int, SubscriptionOptions]:
    if byte & 0xC0:
        raise ProtocolError(f"reserved bits in the subscription options {byte:#04x} [MQTT-3.8.3-5]")
    qos = byte & 0x03
    options = SubscriptionOptions(bool(byte & 0x04), bool(byte & 0x08), byte >> 4) if byte > 2 else PLAIN
    if problem := _options_error(text, qos, options):
        raise ProtocolError(problem, ReasonCode.PROTOCOL_ERROR)
    return qos, options


@record
class SubAck:
    """§3.9. `codes` answers the filters in order: the granted QoS, or 0x80 for a failure (5.0: 0x80 and above)."""

    KIND: ClassVar[PacketType] = PacketType.SUBACK

    packet_id: int
    codes: tuple[int, ...]
    properties: Properties = NO_PROPERTIES

    def encode(self, version: int = 4) -> bytes:
        head = encode_packet_id(self.packet_id)
        if version != 5:
            return frame(0x90, head + bytes(self.codes))
        properties = encode_properties(self.properties, PacketType.SUBACK)
        return frame(0x90, head + properties + _encode_codes(SUBACK_CODES, self.codes))

    @classmethod
    def decode(cls, flags: int, body: bytes, version: int = 4) -> Self:
        require_flags(flags, 0)
        reader = Reader(body)
        packet_id = reader.packet_id()
        if version == 5:
            properties = read_properties(reader, PacketType.SUBACK)
            return cls(packet_id, _read_codes(reader, SUBACK_CODES), properties)
        codes = reader.rest()
        if not codes or any(code not in (0, 1, 2, 0x80) for code in codes):
            raise ProtocolError("a malformed SUBACK [MQTT-3.9.3-2]")
        return cls(packet_id, tuple(codes))


@record
class Unsubscribe:
    """§3.10."""

    KIND: ClassVar[PacketType] = PacketType.UNSUBSCRIBE

    packet_id: int
    filters: tuple[str, ...]
    properties: Properties = NO_PROPERTIES

    def encode(self, version: int = 4) -> bytes:
        head = encode_packet_id(self.packet_id)
        if version == 5:
            head += encode_properties(self.properties, PacketType.UNSUBSCRIBE)
        return frame(0xA2, head + b"".join(map(encode_string, self.filters)))

    @classmethod
    def decode(cls, flags: int, body: bytes, version: int = 4) -> Self:
        require_flags(flags, 0x02)
        reader = Reader(body)
        packet_id = reader.packet_id()
        properties = read_properties(reader, PacketType.UNSUBSCRIBE) if version == 5 else NO_PROPERTIES
        filters = []
        while reader:
            filters.append(_topic_filter(reader, version))
        if not filters:
            raise ProtocolError("UNSUBSCRIBE without a filter [MQTT-3.10.3-2]", ReasonCode.PROTOCOL_ERROR)
        return cls(packet_id, tuple(filters), properties)


@record
class UnsubAck:
    """§3.11. `codes` answers the filters in order; 3.1.1 knows the packet identifier alone."""

    KIND: ClassVar[PacketType] = PacketType.UNSUBACK

    packet_id: int
    codes: tuple[int, ...] = ()
    properties: Properties = NO_PROPERTIES

    def encode(self, version: int = 4) -> bytes:
        head = encode_packet_id(self.packet_id)
        if version != 5:
            return b"\xb0\x02" + head
        properties = encode_properties(self.properties, PacketType.UNSUBACK)
        return frame(0xB0, head + properties + _encode_codes(UNSUBACK_CODES, self.codes))

    @classmethod
    def decode(cls, flags: int, body: bytes, version: int = 4) -> Self:
        if version != 5:
            return cls(decode_only_packet_id(flags, body))
        require_flags(flags, 0)
        reader = Reader(body)
        packet_id, properties = reader.packet_id(), read_properties(reader, PacketType.UNSUBACK)
        return cls(packet_id, _read_codes(reader, UNSUBACK_CODES), properties)


def _topic_filter(reader: Reader, version: int) -> str:
    text = reader.string()
    problem = filter_error(text)
    if version == 5:
        problem = problem or share_error(text)
    if problem:
        raise ProtocolError(problem, ReasonCode.TOPIC_FILTER_INVALID)
    return text


def _encode_codes(allowed: ReasonCodes, codes: tuple[int, ...]) -> bytes:
    if not codes:
        raise ValueError("an acknowledgement without a reason code, expected one for each filter")
    return b"".join(encode_reason(allowed, code) for code in codes)


def _read_codes(reader: Reader, allowed: ReasonCodes) -> tuple[int, ...]:
    codes = []
    while reader:
        codes.append(reader.reason(allowed))
    if not codes:
        raise ProtocolError("an acknowledgement without a reason code", ReasonCode.PROTOCOL_ERROR)
    return tuple(codes)
