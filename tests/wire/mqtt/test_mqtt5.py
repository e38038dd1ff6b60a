"""The codec for MQTT 5.0 against the `mqtt5` codec, an independent implementation, in both directions."""

from dataclasses import fields, replace
from typing import Any

import mqtt5
from hypothesis import given

from tests.wire.mqtt.strategies import Kinds, from_client_5, from_server_5
from wire.mqtt import (
    FROM_CLIENT,
    FROM_SERVER,
    ConnAck,
    Connect,
    Decoder,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    Properties,
    PubAck,
    Publish,
    SubAck,
    Subscribe,
    SubscriptionOptions,
    UnsubAck,
    Unsubscribe,
    Will,
)

THEIR_NAMES = {
    "assigned_client_identifier": "assigned_client_id",
    "maximum_packet_size": "max_packet_size",
    "maximum_qos": "max_qos",
    "reason_string": "reason_str",
    "receive_maximum": "receive_max",
    "request_problem_information": "request_problem_info",
    "request_response_information": "request_response_info",
    "response_information": "response_info",
    "server_keep_alive": "server_keep_alive",
    "subscription_identifier_available": "subscription_id_available",
    "topic_alias_maximum": "topic_alias_max",
    "user_property": "user_properties",
}
THEIR_VALUES = {
    "maximum_qos": mqtt5.QoS,
    "request_problem_information": bool,
    "request_response_information": bool,
    "retain_available": bool,
    "shared_subscription_available": bool,
    "subscription_identifier_available": bool,
    "user_property": list,
    "wildcard_subscription_available": bool,
}
DEFAULTS: dict[type, dict[str, int]] = {
    Will: {"payload_format_indicator": 0, "will_delay_interval": 0},
    Publish: {"payload_format_indicator": 0},
    Connect: {
        "receive_maximum": 65_535,
        "request_problem_information": 1,
        "request_response_information": 0,
        "session_expiry_interval": 0,
        "topic_alias_maximum": 0,
    },
    ConnAck: {
        "receive_maximum": 65_535,
        "retain_available": 1,
        "shared_subscription_available": 1,
        "subscription_identifier_available": 1,
        "topic_alias_maximum": 0,
        "wildcard_subscription_available": 1,
    },
}
"""What means the same as saying nothing: `mqtt5` cannot tell the two apart, and sends nothing."""


def explicit(properties: Properties, carrier: type) -> Properties:
    """Leave out what says no more than silence would."""
    defaults = DEFAULTS.get(carrier, {})
    silent: dict[str, Any] = {name: None for name, value in defaults.items() if getattr(properties, name) == value}
    return replace(properties, **silent)


def as_they_send_it(packet: Any) -> Any:
    if isinstance(packet, Connect) and packet.will is not None:
        packet = replace(packet, will=replace(packet.will, properties=explicit(packet.will.properties, Will)))
    if not (properties := getattr(packet, "properties", None)):
        return packet
    return replace(packet, properties=explicit(properties, type(packet)))


def their_properties(properties: Properties) -> dict[str, Any]:
    """Name what is said as their constructors do; subscription identifiers are each packet's own affair."""
    said = {field.name: getattr(properties, field.name) for field in fields(properties)}
    del said["subscription_identifier"]
    return {
        THEIR_NAMES.get(name, name): THEIR_VALUES.get(name, lambda value: value)(value)
        for name, value in said.items()
        if value is not None and value != ()
    }


def their_will(will: Will | None) -> mqtt5.Will | None:
    if will is None:
        return None
    more = their_properties(will.properties)
    return mqtt5.Will(will.topic, payload=will.payload, qos=mqtt5.QoS(will.qos), retain=will.retain, **more)


def their_filter(text: str, qos: int, options: SubscriptionOptions) -> mqtt5.TopicFilter:
    return mqtt5.TopicFilter(
        text,
        max_qos=mqtt5.QoS(qos),
        no_local=options.no_local,
        retain_as_published=options.retain_as_published,
        retain_handling=mqtt5.RetainHandling(options.retain_handling),
    )


def their_connect(packet: Connect) -> mqtt5.ConnectPacket:
    return mqtt5.ConnectPacket(
        packet.client_id,
        username=packet.username,
        password=packet.password,
        clean_start=packet.clean_session,
        will=their_will(packet.will),
        keep_alive=packet.keepalive,
        **their_properties(packet.properties),
    )


def their_publish(packet: Publish) -> mqtt5.PublishPacket:
    return mqtt5.PublishPacket(
        packet.topic,
        packet.payload,
        qos=mqtt5.QoS(packet.qos),
        retain=packet.retain,
        packet_id=packet.packet_id or None,
        duplicate=packet.dup,
        subscription_ids=list(packet.properties.subscription_identifier),
        **their_properties(packet.properties),
    )


def their_subscribe(packet: Subscribe) -> mqtt5.SubscribePacket:
    options = packet.options or (SubscriptionOptions(),) * len(packet.filters)
    return mqtt5.SubscribePacket(
        packet.packet_id,
        [their_filter(text, qos, more) for (text, qos), more in zip(packet.filters, options, strict=True)],
        subscription_id=next(iter(packet.properties.subscription_identifier), None),
        **their_properties(packet.properties),
    )


def theirs(packet: Packet) -> mqtt5.Packet:
    """Build the packet of `mqtt5` that says the same."""
    match packet:
        case Connect():
            return their_connect(packet)
        case Publish():
            return their_publish(packet)
        case Subscribe():
            return their_subscribe(packet)
        case PingReq():
            return mqtt5.PingReqPacket()
        case PingResp():
            return mqtt5.PingRespPacket()
    return their_answer(packet, their_properties(packet.properties))


def their_answer(packet: Packet, more: dict[str, Any]) -> mqtt5.Packet:
    match packet:
        case ConnAck(code, present):
            return mqtt5.ConnAckPacket(session_present=present, reason_code=mqtt5.ConnAckReasonCode(code), **more)
        case PubAck(packet_id, code):
            return mqtt5.PubAckPacket(packet_id, reason_code=mqtt5.PubAckReasonCode(code), **more)
        case SubAck(packet_id, codes):
            return mqtt5.SubAckPacket(packet_id, [mqtt5.SubAckReasonCode(code) for code in codes], **more)
        case Unsubscribe(packet_id, filters):
            return mqtt5.UnsubscribePacket(packet_id, list(filters), **more)
        case UnsubAck(packet_id, codes):
            return mqtt5.UnsubAckPacket(packet_id, [mqtt5.UnsubAckReasonCode(code) for code in codes], **more)
        case Disconnect(code):
            return mqtt5.DisconnectPacket(reason_code=mqtt5.DisconnectReasonCode(code), **more)
    raise AssertionError(packet)


def decode(kinds: Kinds, wire: bytes) -> Packet | None:
    decoder = Decoder(kinds, version=5)
    decoder.feed(wire)
    return decoder.next_packet()


@given(from_client_5 | from_server_5)
def test_mqtt5_reads_what_we_send(packet: Packet) -> None:
    wire = packet.encode(version=5)
    assert mqtt5.read(memoryview(wire)) == (theirs(packet), len(wire))


@given(from_client_5)
def test_we_read_what_a_client_on_mqtt5_sends(packet: Packet) -> None:
    assert decode(FROM_CLIENT, theirs(packet).write()) == as_they_send_it(packet)


@given(from_server_5)
def test_we_read_what_a_server_on_mqtt5_sends(packet: Packet) -> None:
    assert decode(FROM_SERVER, theirs(packet).write()) == as_they_send_it(packet)
