"""The incremental decoder: splits, order, the size cap, and any bytes at all."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.wire.mqtt.strategies import Conversation, Kinds, conversations
from wire.mqtt import (
    FROM_CLIENT,
    FROM_SERVER,
    ConnAck,
    Connect,
    Decoder,
    Disconnect,
    Packet,
    PingReq,
    ProtocolError,
    Publish,
    ReasonCode,
    largest_body,
    packet_size,
)

roles = st.sampled_from((FROM_CLIENT, FROM_SERVER))
versions = st.sampled_from((4, 5))


def drain(decoder: Decoder) -> list[Packet]:
    packets = []
    while (packet := decoder.next_packet()) is not None:
        packets.append(packet)
    return packets


def decode_all(kinds: Kinds, chunks: Iterable[bytes], version: int = 4) -> list[Packet]:
    decoder = Decoder(kinds, version=version)
    packets = []
    for chunk in chunks:
        decoder.feed(chunk)
        packets += drain(decoder)
    return packets


def decode_or_refuse(kinds: Kinds, wire: bytes, version: int) -> None:
    try:
        decode_all(kinds, [wire], version)
    except ProtocolError:
        return


@given(conversations)
def test_every_packet_comes_back_as_it_was_sent(said: Conversation) -> None:
    assert decode_all(said.kinds, [said.wire], said.version) == said.packets


@given(conversations, st.data())
def test_any_split_of_the_bytes_gives_the_same_packets(said: Conversation, data: st.DataObject) -> None:
    wire = said.wire
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=12)))
    chunks = [wire[start:end] for start, end in pairwise([0, *cuts, len(wire)])]
    assert decode_all(said.kinds, chunks, said.version) == said.packets


@given(conversations)
def test_single_bytes_give_the_same_packets(said: Conversation) -> None:
    assert decode_all(said.kinds, [bytes((byte,)) for byte in said.wire], said.version) == said.packets


@given(conversations, st.binary(max_size=8))
def test_packets_fed_together_can_be_taken_later(said: Conversation, start_of_next: bytes) -> None:
    decoder = Decoder(said.kinds, version=said.version)
    for packet in said.packets:
        decoder.feed(packet.encode(said.version))
    decoder.feed(start_of_next)
    assert [decoder.next_packet() for _ in said.packets] == said.packets


@given(roles, versions, st.binary(max_size=400))
@example(FROM_CLIENT, 4, b"\x30\x01\x00")
@example(FROM_CLIENT, 4, b"\x32\x02\xff\xff")
@example(FROM_CLIENT, 5, b"\x30\x03\x00\x01a")
def test_arbitrary_bytes_raise_only_protocol_error(kinds: Kinds, version: int, wire: bytes) -> None:
    decode_or_refuse(kinds, wire, version)


@given(roles, versions, st.integers(0, 255), st.binary(max_size=127))
def test_arbitrary_body_in_a_good_frame_raises_only_protocol_error(
    kinds: Kinds, version: int, first: int, body: bytes
) -> None:
    decode_or_refuse(kinds, bytes((first, len(body))) + body, version)


@given(conversations, st.data())
def test_mutated_packets_raise_only_protocol_error(said: Conversation, data: st.DataObject) -> None:
    wire = bytearray(said.wire)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(wire)))
        wire[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    decode_or_refuse(said.kinds, bytes(wire), said.version)


@given(roles, versions, st.binary(max_size=100), st.data())
def test_what_is_decoded_can_be_encoded_and_means_the_same(
    kinds: Kinds, version: int, body: bytes, data: st.DataObject
) -> None:
    kind, flags = data.draw(st.sampled_from(sorted(kinds))), data.draw(st.integers(0, 15))
    check_that_decoded_can_be_encoded(kinds, version, bytes((kind << 4 | flags, len(body))) + body)


@given(conversations, st.data())
def test_mutated_packet_that_is_decoded_can_be_encoded_and_means_the_same(
    said: Conversation, data: st.DataObject
) -> None:
    wire = bytearray(said.packets[0].encode(said.version))
    wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    check_that_decoded_can_be_encoded(said.kinds, said.version, bytes(wire))


def check_that_decoded_can_be_encoded(kinds: Kinds, version: int, wire: bytes) -> None:
    decoder = Decoder(kinds, version=version)
    decoder.feed(wire)
    try:
        packet = decoder.next_packet()
    except ProtocolError:
        return
    if packet is not None:
        assert decode_all(kinds, [packet.encode(decoder.version)], decoder.version) == [packet]


@given(conversations, st.sampled_from((b"\x00\x00", b"\xf0\x00", b"\x30\xff\xff\xff\xff", b"\x40\x02\x00\x00")))
def test_good_packets_come_out_before_bad_bytes(said: Conversation, bad: bytes) -> None:
    decoder = Decoder(said.kinds, version=said.version)
    decoder.feed(said.wire + bad)
    assert [decoder.next_packet() for _ in said.packets] == said.packets
    with pytest.raises(ProtocolError):
        decoder.next_packet()


def test_size_cap_fires_at_the_header_before_the_body_is_there() -> None:
    decoder = Decoder(FROM_CLIENT, max_body=100)
    decoder.feed(b"\x30\xff")
    assert decoder.next_packet() is None
    decoder.feed(b"\x01")
    with pytest.raises(ProtocolError, match="255 bytes, at most 100") as raised:
        decoder.next_packet()
    assert raised.value.code == ReasonCode.PACKET_TOO_LARGE


def test_packet_of_exactly_the_cap_is_taken() -> None:
    packet = Publish("a", bytes(97))
    decoder = Decoder(FROM_CLIENT, max_body=100)
    decoder.feed(packet.encode())
    assert decoder.next_packet() == packet
    decoder.feed(Publish("a", bytes(98)).encode())
    with pytest.raises(ProtocolError, match="101 bytes, at most 100"):
        decoder.next_packet()


def test_fifth_length_byte_is_refused_before_it_arrives() -> None:
    decoder = Decoder(FROM_CLIENT)
    decoder.feed(b"\x30\x80\x80\x80")
    assert decoder.next_packet() is None
    decoder.feed(b"\x80")
    with pytest.raises(ProtocolError, match="more than four bytes"):
        decoder.next_packet()


def test_length_field_longer_than_needed_is_taken() -> None:
    """MQTT 3.1.1 does not ask for the shortest form (5.0 does)."""
    assert decode_all(FROM_CLIENT, [b"\xc0\x80\x00"]) == [PingReq()]


@pytest.mark.parametrize(
    "wire", [b"\xc0\x80\x00", Connect("a", level=5).encode()[:1] + b"\x8e\x00" + Connect("a", level=5).encode()[2:]]
)
def test_length_field_longer_than_needed_is_refused_in_5(wire: bytes) -> None:
    with pytest.raises(ProtocolError, match=r"MQTT-1\.5\.5-1"):
        decode_all(FROM_CLIENT, [wire], 5)


def test_decoder_of_a_server_follows_the_level_of_each_connect() -> None:
    decoder = Decoder(FROM_CLIENT)
    for level, body in ((5, b"\0hi"), (4, b"hi"), (3, b"hi")):
        decoder.feed(Connect("a", level=level).encode() + bytes((0x30, 3 + len(body))) + b"\0\x01t" + body)
        assert [*drain(decoder)] == [Connect("a", level=level), Publish("t", b"hi")]
        assert decoder.version == level


def test_decoder_of_a_client_reads_the_version_that_it_is_told() -> None:
    wire = bytes.fromhex("20 03 00 00 00")
    decoder = Decoder(FROM_SERVER)
    decoder.version = 5
    decoder.feed(wire)
    assert decoder.next_packet() == ConnAck()
    assert decode_all(FROM_SERVER, [wire], version=5) == [ConnAck()]
    with pytest.raises(ProtocolError):
        decode_all(FROM_SERVER, [wire])


def test_only_a_server_of_5_says_why_it_closes() -> None:
    wire = bytes.fromhex("e0 01 98")
    assert decode_all(FROM_SERVER, [wire], version=5) == [Disconnect(ReasonCode.ADMINISTRATIVE_ACTION)]
    with pytest.raises(ProtocolError, match="packet type 14 "):
        decode_all(FROM_SERVER, [b"\xe0"])


def test_nothing_fed_gives_nothing() -> None:
    decoder = Decoder(FROM_SERVER)
    assert decoder.next_packet() is None
    decoder.feed(b"")
    assert decoder.next_packet() is None


def test_nothing_of_what_was_taken_is_kept() -> None:
    decoder = Decoder(FROM_CLIENT)
    decoder.feed(Connect("d1", "d1", b"a secret password").encode())
    assert decoder.next_packet() is not None
    assert decoder.next_packet() is None
    assert decoder._buffer == b""


@given(st.integers(0, 268_435_455))
def test_largest_body_of_a_packet_size_is_the_inverse(body: int) -> None:
    size = packet_size(body)
    assert largest_body(size) == body
    assert packet_size(largest_body(size + 1)) <= size + 1


@pytest.mark.parametrize(
    ("size", "body"), [(1, -1), (2, 0), (129, 127), (130, 127), (131, 128), (1 << 30, (1 << 28) - 1)]
)
def test_packet_sizes_that_no_packet_has_round_down(size: int, body: int) -> None:
    assert largest_body(size) == body
