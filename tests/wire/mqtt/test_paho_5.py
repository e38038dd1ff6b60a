"""The codec against paho-mqtt, an independent implementation, over a loopback socket: MQTT 5.0."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode as PahoReason
from paho.mqtt.subscribeoptions import SubscribeOptions

from tests.wire.mqtt.paho_line import Line5, opener, paho_properties
from wire.mqtt import (
    ConnAck,
    Connect,
    Disconnect,
    Properties,
    PubAck,
    Publish,
    ReasonCode,
    SubAck,
    Subscribe,
    SubscriptionOptions,
    UnsubAck,
    Unsubscribe,
    Will,
)


@pytest.fixture
def open_line() -> Iterator[Callable[..., Line5]]:
    with opener(Line5) as opened:
        yield lambda **options: opened(client_id="dev", protocol=MQTTProtocolVersion.MQTTv5, **options)


@pytest.fixture
def line(open_line: Callable[..., Line5]) -> Line5:
    return open_line().connected()


def test_paho_connect_with_properties_is_understood(open_line: Callable[..., Line5]) -> None:
    line = open_line()
    line.client.username_pw_set("d1", "pässword")
    will = paho_properties(
        PacketTypes.WILLMESSAGE, WillDelayInterval=30, ContentType="text/plain", UserProperty=[("a", "b")]
    )
    line.client.will_set("dévice/will", b"\x00gone", qos=1, retain=True, properties=will)
    more = paho_properties(
        PacketTypes.CONNECT,
        SessionExpiryInterval=3_600,
        ReceiveMaximum=20,
        MaximumPacketSize=100_000,
        TopicAliasMaximum=0,
        RequestProblemInformation=1,
        UserProperty=[("firmware", "1.0"), ("é", "")],
    )
    assert line.connect(keepalive=120, clean_start=False, properties=more) == Connect(
        client_id="dev",
        username="d1",
        password="pässword".encode(),
        keepalive=120,
        clean_session=False,
        will=Will(
            "dévice/will",
            b"\x00gone",
            qos=1,
            retain=True,
            properties=Properties(will_delay_interval=30, content_type="text/plain", user_property=(("a", "b"),)),
        ),
        level=5,
        properties=Properties(
            session_expiry_interval=3_600,
            receive_maximum=20,
            maximum_packet_size=100_000,
            topic_alias_maximum=0,
            request_problem_information=1,
            user_property=(("firmware", "1.0"), ("é", "")),
        ),
    )


def test_paho_connect_with_nothing_optional_is_understood(open_line: Callable[..., Line5]) -> None:
    assert open_line().connect(clean_start=True) == Connect("dev", level=5)


def test_paho_reads_every_property_of_a_connack(open_line: Callable[..., Line5]) -> None:
    line = open_line()
    line.connect()
    said = Properties(
        session_expiry_interval=60,
        receive_maximum=20,
        maximum_qos=1,
        retain_available=0,
        maximum_packet_size=1_048_576,
        assigned_client_identifier="dev-1",
        topic_alias_maximum=0,
        reason_string="wélcome",
        user_property=(("a", "b"),),
        wildcard_subscription_available=1,
        subscription_identifier_available=0,
        shared_subscription_available=0,
        server_keep_alive=90,
        response_information="r",
        server_reference="s",
        authentication_method="m",
        authentication_data=b"\x01",
    )
    assert line.give_and_hear(ConnAck(0, session_present=True, properties=said)) == [
        (
            "connect",
            True,
            0,
            {
                "SessionExpiryInterval": 60,
                "AssignedClientIdentifier": "dev-1",
                "ServerKeepAlive": 90,
                "AuthenticationMethod": "m",
                "AuthenticationData": b"\x01",
                "ResponseInformation": "r",
                "ServerReference": "s",
                "ReasonString": "wélcome",
                "ReceiveMaximum": 20,
                "TopicAliasMaximum": 0,
                "MaximumQoS": 1,
                "RetainAvailable": 0,
                "UserProperty": [("a", "b")],
                "MaximumPacketSize": 1_048_576,
                "WildcardSubscriptionAvailable": 1,
                "SubscriptionIdentifierAvailable": 0,
                "SharedSubscriptionAvailable": 0,
            },
        )
    ]


@pytest.mark.parametrize(
    "code",
    [
        ReasonCode.UNSUPPORTED_PROTOCOL_VERSION,
        ReasonCode.CLIENT_IDENTIFIER_NOT_VALID,
        ReasonCode.BAD_USER_NAME_OR_PASSWORD,
        ReasonCode.NOT_AUTHORIZED,
        ReasonCode.SERVER_UNAVAILABLE,
        ReasonCode.QUOTA_EXCEEDED,
    ],
)
def test_paho_reads_each_refusal(open_line: Callable[..., Line5], code: ReasonCode) -> None:
    line = open_line()
    line.connect()
    refusal = ConnAck(code, properties=Properties(reason_string="no"))
    line.give(refusal, until=lambda: bool(line.heard))
    assert line.heard[0] == ("connect", False, code.value, {"ReasonString": "no"})


def test_subscription_options_and_reasons_are_understood_both_ways(line: Line5) -> None:
    options = SubscribeOptions(qos=1, noLocal=True, retainAsPublished=True, retainHandling=2)
    more = paho_properties(PacketTypes.SUBSCRIBE, SubscriptionIdentifier=200, UserProperty=("a", "b"))
    _, mid = line.client.subscribe([("a/+", options), ("$share/g/b", SubscribeOptions(qos=0))], properties=more)
    assert mid is not None
    assert line.take() == Subscribe(
        mid,
        (("a/+", 1), ("$share/g/b", 0)),
        (SubscriptionOptions(no_local=True, retain_as_published=True, retain_handling=2), SubscriptionOptions()),
        Properties(subscription_identifier=(200,), user_property=(("a", "b"),)),
    )
    codes = (ReasonCode.GRANTED_QOS_1, ReasonCode.NOT_AUTHORIZED)
    answer = SubAck(mid, codes, Properties(reason_string="not yours"))
    assert line.give_and_hear(answer) == [("subscribe", mid, [1, 0x87], {"ReasonString": "not yours"})]


def test_unsubscription_and_its_reasons_are_understood_both_ways(line: Line5) -> None:
    more = paho_properties(PacketTypes.UNSUBSCRIBE, UserProperty=("a", "b"))
    _, mid = line.client.unsubscribe(["a/+", "b"], properties=more)
    assert mid is not None
    assert line.take() == Unsubscribe(mid, ("a/+", "b"), Properties(user_property=(("a", "b"),)))
    codes = (ReasonCode.SUCCESS, ReasonCode.NO_SUBSCRIPTION_EXISTED)
    answer = UnsubAck(mid, codes, Properties(reason_string="why"))
    assert line.give_and_hear(answer) == [("unsubscribe", mid, [0, 0x11], {"ReasonString": "why"})]


def test_paho_publish_with_every_property_is_understood(line: Line5) -> None:
    more = paho_properties(
        PacketTypes.PUBLISH,
        PayloadFormatIndicator=1,
        MessageExpiryInterval=60,
        ContentType="json",
        ResponseTopic="r/é",
        CorrelationData=b"\x00\x01",
        TopicAlias=7,
        UserProperty=[("a", "b"), ("a", "c")],
    )
    line.client.publish("a/é", b"\x00\xff", qos=0, properties=more)
    assert line.take() == Publish(
        "a/é",
        b"\x00\xff",
        properties=Properties(
            payload_format_indicator=1,
            message_expiry_interval=60,
            content_type="json",
            response_topic="r/é",
            correlation_data=b"\x00\x01",
            topic_alias=7,
            user_property=(("a", "b"), ("a", "c")),
        ),
    )


@pytest.mark.parametrize(
    ("code", "more", "heard"),
    [
        (ReasonCode.SUCCESS, Properties(), {}),
        (ReasonCode.NOT_AUTHORIZED, Properties(), {}),
        (ReasonCode.NO_MATCHING_SUBSCRIBERS, Properties(reason_string="nobody"), {"ReasonString": "nobody"}),
    ],
)
def test_paho_publish_of_qos_1_and_our_puback_are_understood(
    line: Line5, code: ReasonCode, more: Properties, heard: dict[str, str]
) -> None:
    info = line.client.publish("a", b"x" * 20_000, qos=1)
    assert line.take() == Publish("a", b"x" * 20_000, 1, info.mid)
    assert line.give_and_hear(PubAck(info.mid, code, more)) == [("publish", info.mid, code.value, heard)]


def test_paho_reads_our_messages_and_acknowledges_qos_1(line: Line5) -> None:
    more = Properties(
        payload_format_indicator=0,
        message_expiry_interval=9,
        response_topic="r",
        correlation_data=b"\x01",
        subscription_identifier=(1, 268_435_455),
        user_property=(("a", "b"),),
    )
    heard = line.give_and_hear(Publish("a/é", b"\x00\xff"), Publish("b", b"y" * 300, 1, 65_535, properties=more))
    assert heard == [
        ("message", "a/é", b"\x00\xff", 0, 0, {}),
        (
            "message",
            "b",
            b"y" * 300,
            1,
            65_535,
            {
                "PayloadFormatIndicator": 0,
                "MessageExpiryInterval": 9,
                "ResponseTopic": "r",
                "CorrelationData": "01",
                "SubscriptionIdentifier": [1, 268_435_455],
                "UserProperty": [("a", "b")],
            },
        ),
    ]
    assert line.take() == PubAck(65_535)


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (
            Disconnect(ReasonCode.ADMINISTRATIVE_ACTION, Properties(reason_string="the secret was reset")),
            {"ReasonString": "the secret was reset"},
        ),
        (Disconnect(ReasonCode.SESSION_TAKEN_OVER), {}),
        (Disconnect(ReasonCode.KEEP_ALIVE_TIMEOUT), {}),
    ],
)
def test_paho_reads_why_we_close(line: Line5, said: Disconnect, heard: dict[str, str]) -> None:
    assert line.give_and_hear(said) == [("disconnect", True, said.code, heard)]


@pytest.mark.parametrize(
    ("code", "more", "understood"),
    [
        (None, {}, Disconnect()),
        (0x04, {}, Disconnect(ReasonCode.DISCONNECT_WITH_WILL_MESSAGE)),
        (
            0x00,
            {"SessionExpiryInterval": 0, "ReasonString": "bye"},
            Disconnect(properties=Properties(session_expiry_interval=0, reason_string="bye")),
        ),
    ],
)
def test_paho_disconnect_is_understood(
    line: Line5, code: int | None, more: dict[str, Any], understood: Disconnect
) -> None:
    reason = None if code is None else PahoReason(PacketTypes.DISCONNECT, identifier=code)
    line.client.disconnect(reason, paho_properties(PacketTypes.DISCONNECT, **more) if more else None)
    assert line.take() == understood
