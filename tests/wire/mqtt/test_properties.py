"""The table of properties (MQTT 5.0 §2.2.2.2): every property in every packet, its values, and paho's table."""

from dataclasses import fields
from typing import Any

import pytest
from paho.mqtt import properties as paho_properties
from paho.mqtt.packettypes import PacketTypes

from wire.mqtt import (
    FROM_CLIENT,
    FROM_SERVER,
    ConnAck,
    Connect,
    Decoder,
    Disconnect,
    Packet,
    Properties,
    ProtocolError,
    PubAck,
    Publish,
    ReasonCode,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
    Will,
)

SAMPLES: dict[str, tuple[Any, str]] = {
    "payload_format_indicator": (1, "01 01"),
    "message_expiry_interval": (0x01020304, "02 01020304"),
    "content_type": ("é", "03 0002 c3a9"),
    "response_topic": ("r", "08 0001 72"),
    "correlation_data": (b"\x00\xff", "09 0002 00ff"),
    "subscription_identifier": ((128,), "0b 8001"),
    "session_expiry_interval": (0xFFFFFFFF, "11 ffffffff"),
    "assigned_client_identifier": ("c", "12 0001 63"),
    "server_keep_alive": (0x0102, "13 0102"),
    "authentication_method": ("m", "15 0001 6d"),
    "authentication_data": (b"", "16 0000"),
    "request_problem_information": (0, "17 00"),
    "will_delay_interval": (5, "18 00000005"),
    "request_response_information": (1, "19 01"),
    "response_information": ("", "1a 0000"),
    "server_reference": ("s", "1c 0001 73"),
    "reason_string": ("why", "1f 0003 776879"),
    "receive_maximum": (20, "21 0014"),
    "topic_alias_maximum": (0, "22 0000"),
    "topic_alias": (1, "23 0001"),
    "maximum_qos": (1, "24 01"),
    "retain_available": (0, "25 00"),
    "user_property": ((("a", "é"),), "26 0001 61 0002 c3a9"),
    "maximum_packet_size": (0x10000, "27 00010000"),
    "wildcard_subscription_available": (0, "28 00"),
    "subscription_identifier_available": (1, "29 01"),
    "shared_subscription_available": (1, "2a 01"),
}
ALLOWED = {
    "connect": {
        *("session_expiry_interval", "authentication_method", "authentication_data", "request_problem_information"),
        *("request_response_information", "receive_maximum", "topic_alias_maximum", "user_property"),
        *("maximum_packet_size",),
    },
    "connack": {
        *("session_expiry_interval", "assigned_client_identifier", "server_keep_alive", "authentication_method"),
        *("authentication_data", "response_information", "server_reference", "reason_string", "receive_maximum"),
        *("topic_alias_maximum", "maximum_qos", "retain_available", "user_property", "maximum_packet_size"),
        *("wildcard_subscription_available", "subscription_identifier_available", "shared_subscription_available"),
    },
    "will": {
        *("payload_format_indicator", "message_expiry_interval", "content_type", "response_topic"),
        *("correlation_data", "will_delay_interval", "user_property"),
    },
    "publish": {
        *("payload_format_indicator", "message_expiry_interval", "content_type", "response_topic"),
        *("correlation_data", "subscription_identifier", "topic_alias", "user_property"),
    },
    "puback": {"reason_string", "user_property"},
    "subscribe": {"subscription_identifier", "user_property"},
    "suback": {"reason_string", "user_property"},
    "unsubscribe": {"user_property"},
    "unsuback": {"reason_string", "user_property"},
    "disconnect": {"session_expiry_interval", "server_reference", "reason_string", "user_property"},
}
CELLS = [(packet, name) for packet in ALLOWED for name in SAMPLES]


def build(packet: str, properties: Properties) -> Packet:
    match packet:
        case "connect":
            return Connect("", level=5, properties=properties)
        case "will":
            return Connect("", level=5, will=Will("t", b"", properties=properties))
        case "connack":
            return ConnAck(properties=properties)
        case "publish":
            return Publish("t", properties=properties)
        case "puback":
            return PubAck(1, properties=properties)
        case "subscribe":
            return Subscribe(1, (("t", 0),), properties=properties)
        case "suback":
            return SubAck(1, (0,), properties)
        case "unsubscribe":
            return Unsubscribe(1, ("t",), properties)
        case "unsuback":
            return UnsubAck(1, (0,), properties)
    return Disconnect(properties=properties)


def framed(packet: str, properties: str) -> bytes:
    """Write the bytes of a packet around those of its properties."""
    inner = bytes.fromhex(properties)
    inner = bytes((len(inner),)) + inner
    first, before, after = {
        "connect": (0x10, "00044d515454 05 02 003c", "0000"),
        "will": (0x10, "00044d515454 05 06 003c 00 0000", "0001 74 0000"),
        "connack": (0x20, "00 00", ""),
        "publish": (0x30, "0001 74", ""),
        "puback": (0x40, "0001 00", ""),
        "subscribe": (0x82, "0001", "0001 74 00"),
        "suback": (0x90, "0001", "00"),
        "unsubscribe": (0xA2, "0001", "0001 74"),
        "unsuback": (0xB0, "0001", "00"),
        "disconnect": (0xE0, "00", ""),
    }[packet]
    body = bytes.fromhex(before) + inner + bytes.fromhex(after)
    return bytes((first, len(body))) + body


def decode(packet: str, wire: bytes, name: str = "") -> Packet | None:
    from_server = packet in ("connack", "publish", "suback", "unsuback") or name == "server_reference"
    decoder = Decoder(FROM_SERVER if from_server else FROM_CLIENT, version=5)
    decoder.feed(wire)
    return decoder.next_packet()


def with_method(packet: str, name: str) -> tuple[dict[str, Any], str]:
    """Authentication data in a CONNECT wants its method beside it."""
    return (
        ({"authentication_method": "m"}, SAMPLES["authentication_method"][1])
        if (packet == "connect" and name == "authentication_data")
        else ({}, "")
    )


@pytest.mark.parametrize(("packet", "name"), [cell for cell in CELLS if cell[1] in ALLOWED[cell[0]]])
def test_property_has_its_bytes_where_it_is_allowed(packet: str, name: str) -> None:
    more, more_wire = with_method(packet, name)
    value, wire = SAMPLES[name]
    whole, whole_wire = build(packet, Properties(**{name: value}, **more)), framed(packet, more_wire + wire)
    assert whole.encode(version=5) == whole_wire
    assert decode(packet, whole_wire, name) == whole


@pytest.mark.parametrize(("packet", "name"), [cell for cell in CELLS if cell[1] not in ALLOWED[cell[0]]])
def test_property_is_refused_where_it_is_not_allowed(packet: str, name: str) -> None:
    value, wire = SAMPLES[name]
    with pytest.raises(ProtocolError, match=f"property 0x{wire[:2]} in {packet.upper()}") as raised:
        decode(packet, framed(packet, wire))
    assert raised.value.code is ReasonCode.MALFORMED_PACKET
    with pytest.raises(ValueError, match=f"{name} in {packet.upper()}"):
        build(packet, Properties(**{name: value})).encode(version=5)


@pytest.mark.parametrize("packet", ALLOWED)
@pytest.mark.parametrize("number", [0x00, 0x04, 0x2B, 0x7F, 0x80, 0xFF])
def test_unknown_property_is_refused(packet: str, number: int) -> None:
    with pytest.raises(ProtocolError, match=f"property {number:#04x} in"):
        decode(packet, framed(packet, f"{number:02x} 00"))


@pytest.mark.parametrize(("packet", "name"), [cell for cell in CELLS if cell[1] in ALLOWED[cell[0]]])
def test_property_comes_once_unless_it_is_one_of_many(packet: str, name: str) -> None:
    value, wire = SAMPLES[name]
    twice = framed(packet, wire + wire)
    if name == "user_property" or (packet, name) == ("publish", "subscription_identifier"):
        assert decode(packet, twice) == build(packet, Properties(**{name: value * 2}))
        return
    with pytest.raises(ProtocolError, match=f"{name} twice in {packet.upper()}") as raised:
        decode(packet, twice)
    assert raised.value.code is ReasonCode.PROTOCOL_ERROR


def test_second_subscription_identifier_of_a_subscribe_is_not_sent() -> None:
    with pytest.raises(ValueError, match="2 times subscription_identifier in SUBSCRIBE"):
        build("subscribe", Properties(subscription_identifier=(1, 2))).encode(version=5)


REFUSED_VALUES: dict[str, tuple[str, Any, str]] = {
    "payload format indicator 2": ("publish", {"payload_format_indicator": 2}, "01 02"),
    "receive maximum 0 of a client": ("connect", {"receive_maximum": 0}, "21 0000"),
    "receive maximum 0 of a server": ("connack", {"receive_maximum": 0}, "21 0000"),
    "maximum packet size 0 of a client": ("connect", {"maximum_packet_size": 0}, "27 00000000"),
    "maximum packet size 0 of a server": ("connack", {"maximum_packet_size": 0}, "27 00000000"),
    "request problem information 2": ("connect", {"request_problem_information": 2}, "17 02"),
    "request response information 2": ("connect", {"request_response_information": 255}, "19 ff"),
    "maximum QoS 2": ("connack", {"maximum_qos": 2}, "24 02"),
    "retain available 2": ("connack", {"retain_available": 2}, "25 02"),
    "wildcard subscription available 2": ("connack", {"wildcard_subscription_available": 2}, "28 02"),
    "subscription identifier available 2": ("connack", {"subscription_identifier_available": 2}, "29 02"),
    "shared subscription available 2": ("connack", {"shared_subscription_available": 2}, "2a 02"),
    "topic alias 0": ("publish", {"topic_alias": 0}, "23 0000"),
    "subscription identifier 0": ("subscribe", {"subscription_identifier": (0,)}, "0b 00"),
    "response topic with a wildcard": ("publish", {"response_topic": "a/#"}, "08 0003 612f23"),
    "response topic of a will with a wildcard": ("will", {"response_topic": "+"}, "08 0001 2b"),
    "response topic that is empty": ("publish", {"response_topic": ""}, "08 0000"),
}


@pytest.mark.parametrize(("packet", "value", "wire"), REFUSED_VALUES.values(), ids=REFUSED_VALUES)
def test_value_that_the_specification_forbids_is_neither_taken_nor_sent(
    packet: str, value: dict[str, Any], wire: str
) -> None:
    (name,) = value
    with pytest.raises(ProtocolError, match=name) as raised:
        decode(packet, framed(packet, wire))
    alias = name == "topic_alias"
    assert raised.value.code is (ReasonCode.TOPIC_ALIAS_INVALID if alias else ReasonCode.PROTOCOL_ERROR)
    with pytest.raises(ValueError, match=name):
        build(packet, Properties(**value)).encode(version=5)


MALFORMED_VALUES = {
    "string that is not UTF-8": ("connack", "1f 0001 ff"),
    "string with a surrogate": ("connack", "1f 0003 eda080"),
    "string with U+0000": ("connack", "1f 0001 00"),
    "user property whose name has U+0000": ("publish", "26 0001 00 0000"),
    "user property whose value is not UTF-8": ("publish", "26 0000 0001 ff"),
    "user property without a value": ("publish", "26 0001 61"),
    "integer that is cut": ("connect", "11 000000"),
    "subscription identifier longer than needed": ("subscribe", "0b 8100"),
    "subscription identifier of five bytes": ("subscribe", "0b 8080808001"),
    "identifier with no value": ("publish", "01"),
}


@pytest.mark.parametrize(("packet", "wire"), MALFORMED_VALUES.values(), ids=MALFORMED_VALUES)
def test_malformed_value_is_refused(packet: str, wire: str) -> None:
    with pytest.raises(ProtocolError) as raised:
        decode(packet, framed(packet, wire))
    assert raised.value.code is ReasonCode.MALFORMED_PACKET


UNSENDABLE: dict[str, tuple[str, dict[str, Any]]] = {
    "topic alias over two bytes": ("publish", {"topic_alias": 65_536}),
    "interval over four bytes": ("connect", {"session_expiry_interval": 2**32}),
    "negative interval": ("will", {"will_delay_interval": -1}),
    "subscription identifier over four digits": ("subscribe", {"subscription_identifier": (268_435_456,)}),
    "string with U+0000": ("puback", {"reason_string": "\0"}),
    "string with a surrogate": ("puback", {"user_property": (("\ud800", ""),)}),
    "string over two bytes of length": ("publish", {"content_type": "x" * 65_536}),
}


@pytest.mark.parametrize(("packet", "value"), UNSENDABLE.values(), ids=UNSENDABLE)
def test_value_that_has_no_bytes_is_our_own_error(packet: str, value: dict[str, Any]) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - each kind of value has words of its own
        build(packet, Properties(**value)).encode(version=5)
    assert not isinstance(raised.value, ProtocolError)


def test_table_is_the_one_that_paho_has() -> None:
    numbers = {getattr(PacketTypes, packet.upper()): packet for packet in ALLOWED if packet != "will"}
    numbers[PacketTypes.WILLMESSAGE] = "will"
    paho = paho_properties.Properties(PacketTypes.CONNECT)
    theirs = {
        (numbers[packet], name.lower().replace(" ", "_"), number)
        for name, number in paho.names.items()
        for packet in paho.properties[number][1]
        if packet in numbers
    }
    assert theirs == {(p, name, int(SAMPLES[name][1][:2], 16)) for p, names in ALLOWED.items() for name in names}


def test_samples_and_fields_are_the_same_properties() -> None:
    assert [field.name for field in fields(Properties)] == list(SAMPLES)


def test_repr_tells_what_was_said_and_no_bytes() -> None:
    said = Properties(reason_string="why", session_expiry_interval=0, authentication_data=b"canary")
    assert repr(said) == "Properties(session_expiry_interval=0, authentication_data=<6 bytes>, reason_string='why')"
    assert repr(Properties()) == "Properties()"
