"""Every packet against the exact bytes of the specification (MQTT 3.1.1 §3), and what must be refused."""

import pytest

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
    ProtocolError,
    PubAck,
    Publish,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
    UnsupportedVersion,
    Will,
)

FULL_CONNECT = Connect(
    client_id="dev",
    username="u",
    password=b"\xff\x00",
    keepalive=10,
    clean_session=True,
    will=Will("w/t", b"\x00bye", qos=1, retain=False),
)

CLIENT_PACKETS: dict[str, tuple[Packet, str]] = {
    "connect with the flags of figure 3.6": (
        FULL_CONNECT,
        "10 21 0004 4d515454 04 ce 000a 0003 646576 0003 772f74 0004 00627965 0001 75 0002 ff00",
    ),
    "connect with nothing optional": (
        Connect(client_id="", clean_session=True, keepalive=0),
        "10 0c 0004 4d515454 04 02 0000 0000",
    ),
    "connect that keeps its session": (
        Connect(client_id="a", clean_session=False, keepalive=65_535),
        "10 0d 0004 4d515454 04 00 ffff 0001 61",
    ),
    "connect with a user name alone": (
        Connect(client_id="a", username="b", keepalive=1),
        "10 10 0004 4d515454 04 82 0001 0001 61 0001 62",
    ),
    "connect with a retained will of QoS 2": (
        Connect(client_id="a", will=Will("t", b"", qos=2, retain=True), keepalive=1),
        "10 12 0004 4d515454 04 36 0001 0001 61 0001 74 0000",
    ),
    "connect of MQTT 3.1": (
        Connect(client_id="a", level=3, keepalive=60),
        "10 0f 0006 4d5149736470 03 02 003c 0001 61",
    ),
    "subscribe of figure 3.22": (
        Subscribe(10, (("a/b", 1), ("c/d", 2))),
        "82 0e 000a 0003 612f62 01 0003 632f64 02",
    ),
    "unsubscribe of figure 3.30": (Unsubscribe(10, ("a/b", "c/d")), "a2 0c 000a 0003 612f62 0003 632f64"),
    "pingreq": (PingReq(), "c0 00"),
    "disconnect": (Disconnect(), "e0 00"),
}

SERVER_PACKETS: dict[str, tuple[Packet, str]] = {
    "connack": (ConnAck(), "20 02 00 00"),
    "connack with a session present": (ConnAck(0, session_present=True), "20 02 01 00"),
    "connack that refuses": (ConnAck(5), "20 02 00 05"),
    "suback of figure 3.27": (SubAck(10, (0, 2, 0x80)), "90 05 000a 00 02 80"),
    "unsuback": (UnsubAck(258), "b0 02 0102"),
    "pingresp": (PingResp(), "d0 00"),
}

COMMON_PACKETS: dict[str, tuple[Packet, str]] = {
    "publish of figure 3.11": (Publish("a/b", b"", 1, 10), "32 07 0003 612f62 000a"),
    "publish of QoS 0": (Publish("a", b"\x00\xff"), "30 05 0001 61 00ff"),
    "publish again, retained, QoS 1": (
        Publish("a", b"x", 1, 1, retain=True, dup=True),
        "3b 06 0001 61 0001 78",
    ),
    "publish of QoS 2": (Publish("a", b"", 2, 65_535), "34 05 0001 61 ffff"),
    "publish with the string of §1.5.3.1": (Publish("A\U0002a6d4"), "30 07 0005 41 f0aa9b94"),
    "publish with a byte order mark kept": (Publish("\ufeff"), "30 05 0003 efbbbf"),
    "publish with a body of 128 bytes": (Publish("a", b"z" * 125), "30 8001 0001 61" + "7a" * 125),
    "puback": (PubAck(65_535), "40 02 ffff"),
}

ROLES = [(FROM_CLIENT, CLIENT_PACKETS | COMMON_PACKETS), (FROM_SERVER, SERVER_PACKETS | COMMON_PACKETS)]
CASES = [
    pytest.param(kinds, packet, bytes.fromhex(wire), id=name)
    for kinds, table in ROLES
    for name, (packet, wire) in table.items()
]


def decode(kinds: dict[int, type[Packet]], wire: bytes) -> Packet | None:
    decoder = Decoder(kinds)
    decoder.feed(wire)
    return decoder.next_packet()


@pytest.mark.parametrize(("kinds", "packet", "wire"), CASES)
def test_packet_encodes_to_the_bytes_of_the_specification(
    kinds: dict[int, type[Packet]], packet: Packet, wire: bytes
) -> None:
    assert packet.encode() == wire


@pytest.mark.parametrize(("kinds", "packet", "wire"), CASES)
def test_bytes_of_the_specification_decode_to_the_packet(
    kinds: dict[int, type[Packet]], packet: Packet, wire: bytes
) -> None:
    assert decode(kinds, wire) == packet


@pytest.mark.parametrize(
    ("length", "field"),
    [
        (0, "00"),
        (127, "7f"),
        (128, "8001"),
        (16_383, "ff7f"),
        (16_384, "808001"),
        (2_097_151, "ffff7f"),
        (2_097_152, "80808001"),
    ],
)
def test_remaining_length_has_the_sizes_of_table_2_4(length: int, field: str) -> None:
    codes = (0,) * (length - 2)
    wire = bytes.fromhex("90" + field) + b"\x00\x01" + bytes(codes)
    if length > 2:
        assert SubAck(1, codes).encode() == wire
        assert decode(FROM_SERVER, wire) == SubAck(1, codes)
    else:
        assert PingReq().encode() == bytes.fromhex("c0" + field)


def test_largest_remaining_length_is_taken_and_one_more_cannot_be_encoded() -> None:
    decoder = Decoder(FROM_CLIENT)
    decoder.feed(bytes.fromhex("30 ffffff7f"))
    assert decoder.next_packet() is None
    with pytest.raises(ValueError, match="at most 268435455"):
        Publish("a", bytes(268_435_456 - 3)).encode()


CONNECT = "0004 4d515454 04"
BAD_FROM_CLIENT = {
    "connect with a reserved header flag": "11 0d" + CONNECT + "02 0000 0001 61",
    "connect with the reserved connect flag": "10 0d" + CONNECT + "03 0000 0001 61",
    "connect with a password but no user name": "10 10" + CONNECT + "42 0000 0001 61 0001 62",
    "connect with will QoS 3": "10 12" + CONNECT + "1e 0000 0001 61 0001 74 0000",
    "connect with a will QoS and no will": "10 0d" + CONNECT + "0a 0000 0001 61",
    "connect with a retained will and no will": "10 0d" + CONNECT + "22 0000 0001 61",
    "connect whose will has a wildcard": "10 12" + CONNECT + "06 0000 0001 61 0001 23 0000",
    "connect whose will has no topic": "10 11" + CONNECT + "06 0000 0001 61 0000 0000",
    "connect cut inside the client id": "10 0d" + CONNECT + "02 0000 0002 61",
    "connect without the password it announces": "10 10" + CONNECT + "c2 0000 0001 61 0001 62",
    "connect with bytes left over": "10 0e" + CONNECT + "02 0000 0001 61 00",
    "connect with a client id that is not UTF-8": "10 0d" + CONNECT + "02 0000 0001 ff",
    "connect with U+0000 in the client id": "10 0d" + CONNECT + "02 0000 0001 00",
    "connect with a surrogate in the client id": "10 0f" + CONNECT + "02 0000 0003 eda080",
    "connect with an overlong character": "10 0e" + CONNECT + "02 0000 0002 c080",
    "connect of another protocol": "10 0d 0004 48545450 04 02 0000 0001 61",
    "connect with no body": "10 00",
    "publish of QoS 3": "36 05 0001 61 0001",
    "publish of QoS 0 marked as sent before": "38 03 0001 61",
    "publish with packet identifier 0": "32 05 0001 61 0000",
    "publish with # in the topic name": "30 03 0001 23",
    "publish with + in the topic name": "30 05 0003 612f2b",
    "publish with an empty topic name": "30 02 0000",
    "publish with a topic that is not UTF-8": "30 03 0001 ff",
    "publish with U+0000 in the topic": "30 03 0001 00",
    "publish with no body": "30 00",
    "publish with half a length": "30 01 00",
    "publish cut inside the topic": "30 03 0002 61",
    "publish cut inside the packet identifier": "32 04 0001 61 00",
    "puback with a reserved flag": "41 02 0001",
    "puback with packet identifier 0": "40 02 0000",
    "puback that is too short": "40 01 00",
    "puback that is too long": "40 03 0001 00",
    "subscribe with wrong reserved flags": "80 06 0001 0001 61 00",
    "subscribe with no filter": "82 02 0001",
    "subscribe with packet identifier 0": "82 06 0000 0001 61 00",
    "subscribe that asks for QoS 3": "82 06 0001 0001 61 03",
    "subscribe with reserved bits beside the QoS": "82 06 0001 0001 61 81",
    "subscribe with no QoS": "82 05 0001 0001 61",
    "subscribe with an empty filter": "82 05 0001 0000 00",
    "subscribe with # before the end": "82 08 0001 0003 232f61 00",
    "subscribe with a filter that is not UTF-8": "82 06 0001 0001 ff 00",
    "unsubscribe with wrong reserved flags": "a0 05 0001 0001 61",
    "unsubscribe with no filter": "a2 02 0001",
    "unsubscribe with packet identifier 0": "a2 05 0000 0001 61",
    "unsubscribe with U+0000 in the filter": "a2 05 0001 0001 00",
    "pingreq with a reserved flag": "c1 00",
    "pingreq with a body": "c0 01 00",
    "disconnect with a reserved flag": "e8 00",
    "disconnect with a body": "e0 01 00",
    "remaining length of five bytes": "30 ffffffff01",
}
BAD_FROM_SERVER = {
    "connack with a reserved header flag": "21 02 0000",
    "connack with reserved acknowledge flags": "20 02 0200",
    "connack with a session present in a refusal": "20 02 0105",
    "connack that is too short": "20 01 00",
    "connack that is too long": "20 03 000000",
    "suback with a reserved flag": "91 03 0001 00",
    "suback with no code": "90 02 0001",
    "suback with an unknown code": "90 03 0001 03",
    "suback with packet identifier 0": "90 03 0000 00",
    "unsuback with a reserved flag": "b2 02 0001",
    "unsuback with packet identifier 0": "b0 02 0000",
    "unsuback that is too long": "b0 03 0001 00",
    "pingresp with a reserved flag": "d1 00",
    "pingresp with a body": "d0 01 00",
}
BAD = [
    pytest.param(kinds, bytes.fromhex(wire), id=name)
    for kinds, table in ((FROM_CLIENT, BAD_FROM_CLIENT), (FROM_SERVER, BAD_FROM_SERVER))
    for name, wire in table.items()
]


@pytest.mark.parametrize(("kinds", "wire"), BAD)
def test_malformed_packet_is_a_protocol_error(kinds: dict[int, type[Packet]], wire: bytes) -> None:
    with pytest.raises(ProtocolError) as raised:
        decode(kinds, wire)
    assert not isinstance(raised.value, UnsupportedVersion)


@pytest.mark.parametrize(
    ("name", "level"),
    [("MQTT", 6), ("MQTT", 3), ("MQTT", 0x84), ("MQIsdp", 4), ("MQIsdp", 5)],
    ids=lambda part: str(part),
)
def test_connect_of_another_level_says_so_that_code_1_can_be_answered(name: str, level: int) -> None:
    body = bytes((0, len(name))) + name.encode() + bytes((level,)) + b"whatever that version puts here"
    with pytest.raises(UnsupportedVersion) as raised:
        decode(FROM_CLIENT, bytes((0x10, len(body))) + body)
    assert raised.value.level == level


@pytest.mark.parametrize("kind", sorted(set(range(16)) - set(FROM_CLIENT)))
def test_packet_type_that_no_client_sends_is_refused_at_its_first_byte(kind: int) -> None:
    with pytest.raises(ProtocolError, match=f"packet type {kind} "):
        decode(FROM_CLIENT, bytes((kind << 4,)))


@pytest.mark.parametrize("kind", sorted(set(range(16)) - set(FROM_SERVER)))
def test_packet_type_that_no_server_sends_is_refused_at_its_first_byte(kind: int) -> None:
    with pytest.raises(ProtocolError, match=f"packet type {kind} "):
        decode(FROM_SERVER, bytes((kind << 4,)))


UNSENDABLE: dict[str, tuple[Packet, str]] = {
    "password without a user name": (Connect("a", password=b"x"), "without a user name"),
    "keepalive over two bytes": (Connect("a", keepalive=65_536), "keepalive 65536"),
    "negative keepalive": (Connect("a", keepalive=-1), "keepalive -1"),
    "client id with U+0000": (Connect("a\0"), r"U\+0000"),
    "client id with a surrogate": (Connect("\ud800"), "surrogates not allowed"),
    "password over two bytes of length": (Connect("a", "u", bytes(65_536)), "65536 bytes"),
    "will QoS 3": (Connect("a", will=Will("t", b"", qos=3)), "will QoS 3"),
    "topic with U+0000": (Publish("a\0b"), r"U\+0000"),
    "topic over two bytes of length": (Publish("é" * 32_768), "65536 bytes"),
    "publish of QoS 3": (Publish("a", qos=3, packet_id=1), "QoS 3"),
    "publish of QoS 1 without an identifier": (Publish("a", qos=1), "packet identifier 0"),
    "publish with too large an identifier": (
        Publish("a", qos=1, packet_id=65_536),
        "packet identifier 65536",
    ),
    "puback 0": (PubAck(0), "packet identifier 0"),
    "unsuback 0": (UnsubAck(0), "packet identifier 0"),
    "suback 65536": (SubAck(65_536, (0,)), "packet identifier 65536"),
    "subscribe 0": (Subscribe(0, (("a", 0),)), "packet identifier 0"),
    "unsubscribe 0": (Unsubscribe(0, ("a",)), "packet identifier 0"),
}


@pytest.mark.parametrize(("packet", "message"), UNSENDABLE.values(), ids=UNSENDABLE)
def test_value_that_has_no_bytes_is_our_own_error(packet: Packet, message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        packet.encode()
    assert not isinstance(raised.value, ProtocolError)


def test_secrets_do_not_show_in_a_repr() -> None:
    packet = Connect("id", "user", b"canary-1", will=Will("t", b"canary-2"))
    assert "canary" not in repr(packet)
    assert "canary" not in repr(Publish("t", b"canary-3"))


def test_error_about_a_long_field_stays_short() -> None:
    topic = b"+" * 60_000
    wire = b"\x30\xe2\xd4\x03" + len(topic).to_bytes(2) + topic
    with pytest.raises(ProtocolError) as raised:
        decode(FROM_CLIENT, wire)
    assert len(str(raised.value)) < 200
