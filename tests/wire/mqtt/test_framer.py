"""The framer, and the raw bytes that the decoder gives back."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.mqtt import FROM_CLIENT, Decoder, Framer, PingReq, ProtocolError, Publish

frames = st.tuples(st.integers(0, 255), st.binary(max_size=300)).map(
    lambda made: bytes((made[0],)) + _length(len(made[1])) + made[1]
)


def _length(size: int) -> bytes:
    return bytes((size,)) if size < 128 else bytes((size & 0x7F | 0x80, size >> 7))


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(edges) if start < end]


@given(st.lists(frames, max_size=8), st.lists(st.integers(0, 10_000), max_size=8))
def test_packets_come_out_as_they_went_in_however_they_were_split(packets: list[bytes], cuts: list[int]) -> None:
    framer = Framer()
    assert [one for chunk in split(b"".join(packets), cuts) for one in framer.feed(chunk)] == packets


def test_packet_waits_for_its_last_byte() -> None:
    framer = Framer()
    assert list(framer.feed(b"\x30\x80")) == []
    assert list(framer.feed(b"\x01" + bytes(127))) == []
    assert list(framer.feed(b"\x07\xc0\x00")) == [b"\x30\x80\x01" + bytes(127) + b"\x07", b"\xc0\x00"]


def test_impossible_length_is_an_error() -> None:
    with pytest.raises(ProtocolError, match="remaining length"):
        list(Framer().feed(b"\x30\xff\xff\xff\xff\x01"))


def test_decoder_gives_back_the_bytes_of_the_last_packet() -> None:
    first, second = Publish("a/b", b"x" * 200, 1, 7, dup=True).encode(), PingReq().encode()
    decoder = Decoder(FROM_CLIENT)
    decoder.feed(first[:5])
    assert decoder.next_packet() is None
    decoder.feed(first[5:] + second)
    decoder.next_packet()
    assert decoder.raw() == first
    decoder.next_packet()
    assert decoder.raw() == second
