"""The incremental decoder: splits, order, the size cap, and any bytes at all."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

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
    Will,
)

Kinds = dict[int, type[Packet]]

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
names = st.text(st.characters(exclude_characters="\0+#", exclude_categories=["Cs"]), min_size=1, max_size=20)
levels = st.one_of(st.just("+"), st.just(""), st.just("$oc"), names)
filters = st.lists(levels, min_size=1, max_size=5).map("/".join).filter(bool)
filters |= filters.map(lambda text: text + "/#") | st.just("#")
packet_ids = st.integers(1, 65_535)
payloads = st.binary(max_size=300)

wills = st.builds(Will, names, payloads, st.integers(0, 2), st.booleans())
named_connects = st.builds(
    Connect,
    client_id=texts,
    username=texts,
    password=st.none() | payloads,
    keepalive=st.integers(0, 65_535),
    clean_session=st.booleans(),
    will=st.none() | wills,
    level=st.sampled_from((3, 4)),
)
anonymous_connects = st.builds(Connect, client_id=texts, will=st.none() | wills)
publishes = st.builds(Publish, names, payloads, retain=st.booleans()) | st.builds(
    Publish, names, payloads, st.integers(1, 2), packet_ids, st.booleans(), st.booleans()
)
both_ways: st.SearchStrategy[Packet] = publishes | st.builds(PubAck, packet_ids)
from_client: st.SearchStrategy[Packet] = st.one_of(
    both_ways,
    named_connects,
    anonymous_connects,
    st.builds(
        Subscribe,
        packet_ids,
        st.lists(st.tuples(filters, st.integers(0, 2)), min_size=1, max_size=4).map(tuple),
    ),
    st.builds(Unsubscribe, packet_ids, st.lists(filters, min_size=1, max_size=4).map(tuple)),
    st.sampled_from((PingReq(), Disconnect())),
)
from_server: st.SearchStrategy[Packet] = st.one_of(
    both_ways,
    st.builds(ConnAck, st.integers(0, 255)),
    st.just(ConnAck(0, session_present=True)),
    st.builds(SubAck, packet_ids, st.lists(st.sampled_from((0, 1, 2, 0x80)), min_size=1, max_size=9).map(tuple)),
    st.builds(UnsubAck, packet_ids),
    st.just(PingResp()),
)
conversations: st.SearchStrategy[tuple[Kinds, list[Packet]]] = st.one_of(
    st.tuples(st.just(FROM_CLIENT), st.lists(from_client, min_size=1, max_size=6)),
    st.tuples(st.just(FROM_SERVER), st.lists(from_server, min_size=1, max_size=6)),
)
roles = st.sampled_from((FROM_CLIENT, FROM_SERVER))


def drain(decoder: Decoder) -> list[Packet]:
    packets = []
    while (packet := decoder.next_packet()) is not None:
        packets.append(packet)
    return packets


def decode_all(kinds: Kinds, chunks: Iterable[bytes]) -> list[Packet]:
    decoder = Decoder(kinds)
    packets = []
    for chunk in chunks:
        decoder.feed(chunk)
        packets += drain(decoder)
    return packets


def decode_or_refuse(kinds: Kinds, wire: bytes) -> None:
    try:
        decode_all(kinds, [wire])
    except ProtocolError:
        return


@given(conversations)
def test_every_packet_comes_back_as_it_was_sent(conversation: tuple[Kinds, list[Packet]]) -> None:
    kinds, packets = conversation
    assert decode_all(kinds, [b"".join(packet.encode() for packet in packets)]) == packets


@given(conversations, st.data())
def test_any_split_of_the_bytes_gives_the_same_packets(
    conversation: tuple[Kinds, list[Packet]], data: st.DataObject
) -> None:
    kinds, packets = conversation
    wire = b"".join(packet.encode() for packet in packets)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=12)))
    chunks = [wire[start:end] for start, end in pairwise([0, *cuts, len(wire)])]
    assert decode_all(kinds, chunks) == packets


@given(conversations)
def test_single_bytes_give_the_same_packets(conversation: tuple[Kinds, list[Packet]]) -> None:
    kinds, packets = conversation
    wire = b"".join(packet.encode() for packet in packets)
    assert decode_all(kinds, [bytes((byte,)) for byte in wire]) == packets


@given(conversations, st.binary(max_size=8))
def test_packets_fed_together_can_be_taken_later(
    conversation: tuple[Kinds, list[Packet]], start_of_next: bytes
) -> None:
    kinds, packets = conversation
    decoder = Decoder(kinds)
    for packet in packets:
        decoder.feed(packet.encode())
    decoder.feed(start_of_next)
    assert [decoder.next_packet() for _ in packets] == packets


@given(roles, st.binary(max_size=400))
@example(FROM_CLIENT, b"\x30\x01\x00")
@example(FROM_CLIENT, b"\x32\x02\xff\xff")
def test_arbitrary_bytes_raise_only_protocol_error(kinds: Kinds, wire: bytes) -> None:
    decode_or_refuse(kinds, wire)


@given(roles, st.integers(0, 255), st.binary(max_size=127))
def test_arbitrary_body_in_a_good_frame_raises_only_protocol_error(kinds: Kinds, first: int, body: bytes) -> None:
    decode_or_refuse(kinds, bytes((first, len(body))) + body)


@given(conversations, st.data())
def test_mutated_packets_raise_only_protocol_error(
    conversation: tuple[Kinds, list[Packet]], data: st.DataObject
) -> None:
    kinds, packets = conversation
    wire = bytearray(b"".join(packet.encode() for packet in packets))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(wire)))
        wire[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    decode_or_refuse(kinds, bytes(wire))


@given(roles, st.binary(max_size=100), st.data())
def test_what_is_decoded_can_be_encoded_and_means_the_same(kinds: Kinds, body: bytes, data: st.DataObject) -> None:
    kind, flags = data.draw(st.sampled_from(sorted(kinds))), data.draw(st.integers(0, 15))
    try:
        packets = decode_all(kinds, [bytes((kind << 4 | flags, len(body))) + body])
    except ProtocolError:
        return
    assert decode_all(kinds, [packet.encode() for packet in packets]) == packets


@given(conversations, st.sampled_from((b"\x00\x00", b"\xf0\x00", b"\x30\xff\xff\xff\xff", b"\x40\x02\x00\x00")))
def test_good_packets_come_out_before_bad_bytes(conversation: tuple[Kinds, list[Packet]], bad: bytes) -> None:
    kinds, packets = conversation
    decoder = Decoder(kinds)
    decoder.feed(b"".join(packet.encode() for packet in packets) + bad)
    assert [decoder.next_packet() for _ in packets] == packets
    with pytest.raises(ProtocolError):
        decoder.next_packet()


def test_size_cap_fires_at_the_header_before_the_body_is_there() -> None:
    decoder = Decoder(FROM_CLIENT, max_body=100)
    decoder.feed(b"\x30\xff")
    assert decoder.next_packet() is None
    decoder.feed(b"\x01")
    with pytest.raises(ProtocolError, match="255 bytes, at most 100"):
        decoder.next_packet()


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


def test_nothing_fed_gives_nothing() -> None:
    decoder = Decoder(FROM_SERVER)
    assert decoder.next_packet() is None
    decoder.feed(b"")
    assert decoder.next_packet() is None
