"""Every packet of MQTT 5.0 against exact bytes, those of the specification's examples where it has one."""

import pytest

from tests.wire.mqtt.strategies import Kinds
from wire.mqtt import (
    FROM_CLIENT,
    FROM_SERVER,
    NO_PROPERTIES,
    ConnAck,
    Connect,
    Decoder,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    Properties,
    ProtocolError,
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

CONNECT = "0004 4d515454 05"
ALL_OPTIONS = SubscriptionOptions(no_local=True, retain_as_published=True, retain_handling=2)

CLIENT_PACKETS: dict[str, tuple[Packet, str]] = {
    "connect with the variable header of §3.1.2.12": (
        Connect(
            client_id="dev",
            username="u",
            password=b"\xff\x00",
            keepalive=10,
            will=Will("w/t", b"\x00bye", qos=1),
            level=5,
            properties=Properties(session_expiry_interval=10),
        ),
        "10 28" + CONNECT + "ce 000a 05 11 0000000a 0003 646576 00 0003 772f74 0004 00627965 0001 75 0002 ff00",
    ),
    "connect with nothing optional": (Connect("", keepalive=0, level=5), "10 0d" + CONNECT + "02 0000 00 0000"),
    "connect with a password but no user name": (
        Connect("a", password=b"p", keepalive=0, level=5),
        "10 11" + CONNECT + "42 0000 00 0001 61 0001 70",
    ),
    "connect whose will has properties": (
        Connect("a", keepalive=0, level=5, will=Will("t", b"", 2, True, Properties(will_delay_interval=1))),
        "10 19" + CONNECT + "36 0000 00 0001 61 05 18 00000001 0001 74 0000",
    ),
    "publish with an alias for its topic": (
        Publish("", b"x", properties=Properties(topic_alias=2)),
        "30 07 0000 03 23 0002 78",
    ),
    "subscribe of §3.8.3.1": (
        Subscribe(10, (("a/b", 1), ("c/d", 2))),
        "82 0f 000a 00 0003 612f62 01 0003 632f64 02",
    ),
    "subscribe with every option and an identifier of two bytes": (
        Subscribe(
            10, (("a", 1), ("b", 0)), (ALL_OPTIONS, SubscriptionOptions()), Properties(subscription_identifier=(128,))
        ),
        "82 0e 000a 03 0b8001 0001 61 2d 0001 62 00",
    ),
    "subscribe to a share": (Subscribe(1, (("$share/g/#", 0),)), "82 10 0001 00 000a 2473686172652f672f23 00"),
    "unsubscribe of §3.10.3.1": (Unsubscribe(10, ("a/b", "c/d")), "a2 0d 000a 00 0003 612f62 0003 632f64"),
    "pingreq": (PingReq(), "c0 00"),
    "disconnect that says nothing": (Disconnect(), "e0 00"),
    "disconnect that wants its will sent": (Disconnect(ReasonCode.DISCONNECT_WITH_WILL_MESSAGE), "e0 01 04"),
    "disconnect that ends its session": (
        Disconnect(properties=Properties(session_expiry_interval=0)),
        "e0 07 00 05 11 00000000",
    ),
}
SERVER_PACKETS: dict[str, tuple[Packet, str]] = {
    "connack": (ConnAck(), "20 03 00 00 00"),
    "connack with a session present": (ConnAck(0, session_present=True), "20 03 01 00 00"),
    "connack that refuses and says why": (
        ConnAck(ReasonCode.BAD_USER_NAME_OR_PASSWORD, properties=Properties(reason_string="no")),
        "20 08 00 86 05 1f 0002 6e6f",
    ),
    "publish for two subscriptions": (
        Publish("t", b"", properties=Properties(subscription_identifier=(1, 268_435_455))),
        "30 0b 0001 74 07 0b01 0bffffff7f",
    ),
    "suback": (SubAck(10, (0, 2, 0x80, 0x87)), "90 07 000a 00 00 02 80 87"),
    "suback with a reason": (SubAck(1, (0x80,), Properties(reason_string="x")), "90 08 0001 04 1f 0001 78 80"),
    "unsuback": (UnsubAck(258, (0, 0x11)), "b0 05 0102 00 00 11"),
    "pingresp": (PingResp(), "d0 00"),
    "disconnect by an administrator": (Disconnect(ReasonCode.ADMINISTRATIVE_ACTION), "e0 01 98"),
    "disconnect that says why": (
        Disconnect(0x8E, Properties(reason_string="x", server_reference="y")),
        "e0 0a 8e 08 1c 0001 79 1f 0001 78",
    ),
}
COMMON_PACKETS: dict[str, tuple[Packet, str]] = {
    "publish of §3.3.2.4": (Publish("a/b", b"", 1, 10), "32 08 0003 612f62 000a 00"),
    "publish of QoS 0": (Publish("a", b"\x00\xff"), "30 06 0001 61 00 00ff"),
    "publish with user properties in their order": (
        Publish("a", b"", properties=Properties(user_property=(("k", "2"), ("k", "1"), ("", "")))),
        "30 17 0001 61 13 26 0001 6b 0001 32 26 0001 6b 0001 31 26 0000 0000",
    ),
    "publish with 128 bytes of properties": (
        Publish("a", b"", properties=Properties(content_type="z" * 125)),
        "30 8501 0001 61 8001 03 007d" + "7a" * 125,
    ),
    "puback of a success": (PubAck(65_535), "40 02 ffff"),
    "puback with a reason code": (PubAck(1, ReasonCode.NOT_AUTHORIZED), "40 03 0001 87"),
    "puback with a reason string": (PubAck(1, 0x10, Properties(reason_string="x")), "40 08 0001 10 04 1f 0001 78"),
}
ROLES: list[tuple[Kinds, dict[str, tuple[Packet, str]]]] = [
    (FROM_CLIENT, CLIENT_PACKETS | COMMON_PACKETS),
    (FROM_SERVER, SERVER_PACKETS | COMMON_PACKETS),
]
CASES = [
    pytest.param(kinds, packet, bytes.fromhex(wire), id=name)
    for kinds, table in ROLES
    for name, (packet, wire) in table.items()
]


def decode(kinds: Kinds, wire: bytes) -> Packet | None:
    decoder = Decoder(kinds, version=5)
    decoder.feed(wire)
    return decoder.next_packet()


@pytest.mark.parametrize(("kinds", "packet", "wire"), CASES)
def test_packet_encodes_to_its_bytes(kinds: Kinds, packet: Packet, wire: bytes) -> None:
    assert packet.encode(version=5) == wire


@pytest.mark.parametrize(("kinds", "packet", "wire"), CASES)
def test_bytes_decode_to_the_packet(kinds: Kinds, packet: Packet, wire: bytes) -> None:
    assert decode(kinds, wire) == packet


LONG_FORMS: dict[str, tuple[Kinds, str, Packet]] = {
    "puback": (FROM_CLIENT, "40 04 0001 00 00", PubAck(1)),
    "puback without properties": (FROM_CLIENT, "40 03 0001 00", PubAck(1)),
    "disconnect": (FROM_CLIENT, "e0 02 00 00", Disconnect()),
    "disconnect without properties": (FROM_CLIENT, "e0 01 00", Disconnect()),
}


@pytest.mark.parametrize(("kinds", "wire", "packet"), LONG_FORMS.values(), ids=LONG_FORMS)
def test_form_longer_than_ours_is_understood(kinds: Kinds, wire: str, packet: Packet) -> None:
    assert decode(kinds, bytes.fromhex(wire)) == packet


def test_packet_without_properties_shares_one_empty_value() -> None:
    for kinds, table in ROLES:
        for packet, wire in table.values():
            shared = getattr(packet, "properties", None)
            if shared == NO_PROPERTIES:
                assert getattr(decode(kinds, bytes.fromhex(wire)), "properties", None) is NO_PROPERTIES


def test_refusal_by_a_server_that_knows_only_3_1_1_is_understood() -> None:
    assert decode(FROM_SERVER, b"\x20\x02\x00\x01") == ConnAck(ReasonCode.UNSUPPORTED_PROTOCOL_VERSION)


WITH_MORE = Properties(user_property=(("a", "b"),))
WITHOUT_BYTES_IN_3: list[tuple[Packet, Packet]] = [
    (Publish("t", b"x", 1, 5, properties=WITH_MORE), Publish("t", b"x", 1, 5)),
    (PubAck(5, ReasonCode.NOT_AUTHORIZED, WITH_MORE), PubAck(5)),
    (ConnAck(5, properties=WITH_MORE), ConnAck(5)),
    (Subscribe(5, (("a", 1),), (ALL_OPTIONS,), WITH_MORE), Subscribe(5, (("a", 1),))),
    (SubAck(5, (1,), WITH_MORE), SubAck(5, (1,))),
    (Unsubscribe(5, ("a",), WITH_MORE), Unsubscribe(5, ("a",))),
    (UnsubAck(5, (0,), WITH_MORE), UnsubAck(5)),
    (Disconnect(ReasonCode.ADMINISTRATIVE_ACTION, WITH_MORE), Disconnect()),
    (Connect("a", properties=WITH_MORE, will=Will("t", b"", properties=WITH_MORE)), Connect("a", will=Will("t", b""))),
]


@pytest.mark.parametrize(("packet", "plain"), WITHOUT_BYTES_IN_3, ids=lambda packet: type(packet).__name__)
def test_what_3_1_1_has_no_bytes_for_is_left_out(packet: Packet, plain: Packet) -> None:
    assert packet != plain
    assert packet.encode() == plain.encode()


def test_level_of_a_connect_says_how_it_is_encoded() -> None:
    for level in (3, 4, 5):
        assert Connect("a", level=level).encode(version=9 - level) == Connect("a", level=level).encode()


UNSENDABLE: dict[str, tuple[Packet, str]] = {
    "connack with a return code of 3.1.1": (ConnAck(5), "reason code 0x05"),
    "puback with the reason of a disconnect": (PubAck(1, 0x98), "reason code 0x98"),
    "suback with the reason of an unsuback": (SubAck(1, (0x11,)), "reason code 0x11"),
    "unsuback with a granted QoS": (UnsubAck(1, (1,)), "reason code 0x01"),
    "disconnect with the reason of a connack": (Disconnect(0x86), "reason code 0x86"),
    "suback without a code": (SubAck(1, ()), "without a reason code"),
    "unsuback without a code": (UnsubAck(1), "without a reason code"),
    "subscribe with QoS 4": (Subscribe(1, (("a", 4),)), "requested QoS 4"),
    "subscribe with retain handling 3": (
        Subscribe(1, (("a", 0),), (SubscriptionOptions(retain_handling=3),)),
        "retain handling 3",
    ),
    "subscribe to a share without own messages": (
        Subscribe(1, (("$share/a/b", 0),), (SubscriptionOptions(no_local=True),)),
        "no local on a shared",
    ),
    "subscribe with options for another number of filters": (
        Subscribe(1, (("a", 0), ("b", 0)), (SubscriptionOptions(),)),
        "shorter than argument 1",
    ),
    "connect with authentication data alone": (
        Connect("a", level=5, properties=Properties(authentication_data=b"x")),
        "without a method",
    ),
}


@pytest.mark.parametrize(("packet", "message"), UNSENDABLE.values(), ids=UNSENDABLE)
def test_value_that_has_no_bytes_is_our_own_error(packet: Packet, message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        packet.encode(version=5)
    assert not isinstance(raised.value, ProtocolError)
