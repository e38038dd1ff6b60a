"""Properties of MQTT 5.0 (§2.2.2): the closed table of what there is, of which type, and in which packets."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from wire.mqtt.primitives import (
    MAX_VARINT,
    PacketType,
    ProtocolError,
    Reader,
    encode_binary,
    encode_string,
    encode_varint,
    pack_u16,
)
from wire.mqtt.reason import ReasonCode
from wire.mqtt.topics import topic_error
from wire.record import record

CONNECT, CONNACK, WILL = PacketType.CONNECT, PacketType.CONNACK, PacketType.WILL
PUBLISH, DISCONNECT = PacketType.PUBLISH, PacketType.DISCONNECT
ANSWERS = PUBACK, PUBREC, PUBREL, PUBCOMP = PacketType.PUBACK, PacketType.PUBREC, PacketType.PUBREL, PacketType.PUBCOMP
SUBSCRIBE, SUBACK = PacketType.SUBSCRIBE, PacketType.SUBACK
UNSUBSCRIBE, UNSUBACK = PacketType.UNSUBSCRIBE, PacketType.UNSUBACK
EVERYWHERE = frozenset(
    (CONNECT, CONNACK, WILL, PUBLISH, *ANSWERS, SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, DISCONNECT)
)


@dataclass(frozen=True, slots=True, repr=False)
class Properties:
    """What a packet says beside its fields, by the names of the specification; None and () are not sent.

    Intervals and the keep alive are in seconds, sizes in bytes; flags are 0 or 1. Only PUBLISH may have more than
    one subscription identifier. Bytes never show in a repr: they may hold a secret.
    """

    payload_format_indicator: int | None = None
    message_expiry_interval: int | None = None
    content_type: str | None = None
    response_topic: str | None = None
    correlation_data: bytes | None = None
    subscription_identifier: tuple[int, ...] = ()
    session_expiry_interval: int | None = None
    assigned_client_identifier: str | None = None
    server_keep_alive: int | None = None
    authentication_method: str | None = None
    authentication_data: bytes | None = None
    request_problem_information: int | None = None
    will_delay_interval: int | None = None
    request_response_information: int | None = None
    response_information: str | None = None
    server_reference: str | None = None
    reason_string: str | None = None
    receive_maximum: int | None = None
    topic_alias_maximum: int | None = None
    topic_alias: int | None = None
    maximum_qos: int | None = None
    retain_available: int | None = None
    user_property: tuple[tuple[str, str], ...] = ()
    maximum_packet_size: int | None = None
    wildcard_subscription_available: int | None = None
    subscription_identifier_available: int | None = None
    shared_subscription_available: int | None = None

    def __repr__(self) -> str:
        pairs = [(field.name, getattr(self, field.name)) for field in fields(self)]
        shown = [f"{name}={_shown(value)}" for name, value in pairs if value not in (None, ())]
        return f"Properties({', '.join(shown)})"


def _shown(value: object) -> str:
    return f"<{len(value)} bytes>" if isinstance(value, bytes) else repr(value)


NO_PROPERTIES = Properties()
"""What every packet without properties shares."""


@record
class _Type:
    """A data type of §1.5 and the values that a property may have; `problem` says what is wrong with one."""

    read: Callable[[Reader], Any]
    write: Callable[[Any], bytes]
    problem: Callable[[Any], str | None] = lambda _value: None


def _between(least: int, most: int) -> Callable[[int], str | None]:
    def problem(value: int) -> str | None:
        return None if least <= value <= most else f"{value}, expected {least} to {most}"

    return problem


def _write_u8(value: int) -> bytes:
    return bytes((value,))


def _write_u32(value: int) -> bytes:
    return value.to_bytes(4)


def _read_pair(reader: Reader) -> tuple[str, str]:
    return reader.string(), reader.string()


def _write_pair(pair: tuple[str, str]) -> bytes:
    return encode_string(pair[0]) + encode_string(pair[1])


_FLAG = _Type(Reader.u8, _write_u8, _between(0, 1))
_U16 = _Type(Reader.u16, pack_u16, _between(0, 0xFFFF))
_U16_NOT_0 = _Type(Reader.u16, pack_u16, _between(1, 0xFFFF))
_U32 = _Type(Reader.u32, _write_u32, _between(0, 0xFFFF_FFFF))
_U32_NOT_0 = _Type(Reader.u32, _write_u32, _between(1, 0xFFFF_FFFF))
_VARINT_NOT_0 = _Type(Reader.varint, encode_varint, _between(1, MAX_VARINT))
_STRING = _Type(Reader.string, encode_string)
_TOPIC = _Type(Reader.string, encode_string, topic_error)
_BINARY = _Type(Reader.binary, encode_binary)
_PAIR = _Type(_read_pair, _write_pair)


@record
class _Row:
    """`repeats`: where the property may come more than once. `code`: what a wrong value is called."""

    name: str
    type: _Type
    packets: frozenset[PacketType]
    repeats: frozenset[PacketType] = frozenset()
    code: ReasonCode = ReasonCode.PROTOCOL_ERROR


def _in(*packets: PacketType) -> frozenset[PacketType]:
    return frozenset(packets)


# Table 2-4, and the values of the sections that it names
_TABLE = {
    0x01: _Row("payload_format_indicator", _FLAG, _in(PUBLISH, WILL)),
    0x02: _Row("message_expiry_interval", _U32, _in(PUBLISH, WILL)),
    0x03: _Row("content_type", _STRING, _in(PUBLISH, WILL)),
    0x08: _Row("response_topic", _TOPIC, _in(PUBLISH, WILL)),  # [MQTT-3.3.2-14]
    0x09: _Row("correlation_data", _BINARY, _in(PUBLISH, WILL)),
    0x0B: _Row("subscription_identifier", _VARINT_NOT_0, _in(PUBLISH, SUBSCRIBE), repeats=_in(PUBLISH)),
    0x11: _Row("session_expiry_interval", _U32, _in(CONNECT, CONNACK, DISCONNECT)),
    0x12: _Row("assigned_client_identifier", _STRING, _in(CONNACK)),
    0x13: _Row("server_keep_alive", _U16, _in(CONNACK)),
    0x15: _Row("authentication_method", _STRING, _in(CONNECT, CONNACK)),
    0x16: _Row("authentication_data", _BINARY, _in(CONNECT, CONNACK)),
    0x17: _Row("request_problem_information", _FLAG, _in(CONNECT)),
    0x18: _Row("will_delay_interval", _U32, _in(WILL)),
    0x19: _Row("request_response_information", _FLAG, _in(CONNECT)),
    0x1A: _Row("response_information", _STRING, _in(CONNACK)),
    0x1C: _Row("server_reference", _STRING, _in(CONNACK, DISCONNECT)),
    0x1F: _Row("reason_string", _STRING, _in(CONNACK, *ANSWERS, SUBACK, UNSUBACK, DISCONNECT)),
    0x21: _Row("receive_maximum", _U16_NOT_0, _in(CONNECT, CONNACK)),
    0x22: _Row("topic_alias_maximum", _U16, _in(CONNECT, CONNACK)),
    0x23: _Row("topic_alias", _U16_NOT_0, _in(PUBLISH), code=ReasonCode.TOPIC_ALIAS_INVALID),  # [MQTT-3.3.2-8]
    0x24: _Row("maximum_qos", _FLAG, _in(CONNACK)),
    0x25: _Row("retain_available", _FLAG, _in(CONNACK)),
    0x26: _Row("user_property", _PAIR, EVERYWHERE, repeats=EVERYWHERE),
    0x27: _Row("maximum_packet_size", _U32_NOT_0, _in(CONNECT, CONNACK)),
    0x28: _Row("wildcard_subscription_available", _FLAG, _in(CONNACK)),
    0x29: _Row("subscription_identifier_available", _FLAG, _in(CONNACK)),
    0x2A: _Row("shared_subscription_available", _FLAG, _in(CONNACK)),
}

_TUPLES = frozenset(row.name for row in _TABLE.values() if row.repeats)


def encode_properties(properties: Properties, packet: PacketType) -> bytes:
    """Encode properties behind their length, which is there even when they are not [MQTT-2.2.2-1]."""
    if properties is NO_PROPERTIES:
        return b"\0"
    parts: list[bytes] = []
    for number, row in _TABLE.items():
        value = getattr(properties, row.name)
        if value is None or value == ():
            continue
        if packet not in row.packets:
            raise ValueError(f"{row.name} in {packet.name}, which cannot carry it")
        values = value if row.repeats else (value,)
        if len(values) > 1 and packet not in row.repeats:
            raise ValueError(f"{len(values)} times {row.name} in {packet.name}, expected one")
        for one in values:
            if problem := row.type.problem(one):
                raise ValueError(f"{row.name}: {problem}")
            parts += bytes((number,)), row.type.write(one)
    body = b"".join(parts)
    return encode_varint(len(body)) + body


def read_properties(reader: Reader, packet: PacketType) -> Properties:
    """Read the properties of a packet, their length first."""
    length = reader.varint()
    if not length:
        return NO_PROPERTIES
    reader, found = Reader(reader.take(length)), dict[str, list[Any]]()
    while reader:
        number = reader.u8()
        row = _TABLE.get(number)
        if row is None or packet not in row.packets:
            raise ProtocolError(f"property {number:#04x} in {packet.name}")
        values = found.setdefault(row.name, [])
        values.append(_read_value(reader, row))
        if len(values) > 1 and packet not in row.repeats:
            raise ProtocolError(f"{row.name} twice in {packet.name}", ReasonCode.PROTOCOL_ERROR)
    values_by_name: dict[str, Any] = {n: tuple(v) if n in _TUPLES else v[0] for n, v in found.items()}
    return Properties(**values_by_name)


def _read_value(reader: Reader, row: _Row) -> Any:
    value = row.type.read(reader)
    if problem := row.type.problem(value):
        raise ProtocolError(f"{row.name}: {problem}", row.code)
    return value


def decode_properties(body: bytes, at: int, packet: PacketType) -> tuple[Properties, int]:
    """Decode the properties at `at`: what they are and where they end."""
    if body[at : at + 1] == b"\0":
        return NO_PROPERTIES, at + 1
    reader = Reader(body, at)
    return read_properties(reader, packet), reader.at
