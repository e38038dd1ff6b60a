"""The codec: what it makes is what RFC 7252 shows, and spoilt bytes are nothing but a ProtocolError."""

import pytest
from aiocoap import OptionNumber
from hypothesis import given
from hypothesis import strategies as st

from wire.coap import CoapPeer, Code, Message, ProtocolError, Type, decode, encode

GET_TEMPERATURE = bytes.fromhex("44017d3420000000bb") + b"temperature"


def test_request_of_the_rfc_is_read_and_written() -> None:
    """RFC 7252 appendix A, figure 16: a GET of `temperature`."""
    datagram = bytes.fromhex("40017d34bb") + b"temperature"
    message = decode(datagram)
    assert (message.mtype, message.code, message.mid, message.opt.uri_path) == (
        Type.CON,
        Code.GET,
        0x7D34,
        ("temperature",),
    )
    made = Message(code=Code.GET, uri_path=("temperature",))
    made.mtype, made.mid, made.token = Type.CON, 0x7D34, b""
    assert encode(made) == datagram


@pytest.mark.parametrize(
    ("datagram", "rejected_mid"),
    [
        (b"", None),
        (b"\x40\x01\x00", None),
        (b"\x00\x01\x00\x07", None),  # version 0
        (b"\x80\x01\x00\x07", None),  # version 2
        (b"\x49\x01\x00\x07" + b"t" * 9, 7),  # a token of nine bytes
        (b"\x44\x01\x00\x07abc", 7),  # a token that ends early
        (b"\x40\x00\x00\x07x", 7),  # an empty message with something in it
        (b"\x41\x00\x00\x07t", 7),
        (b"\x40\x01\x00\x07\xff", 7),  # a marker without a payload
        (b"\x40\x01\x00\x07\xb4tem", 7),  # an option that ends early
        (b"\x40\x01\x00\x07\xb1\xff", 7),  # a path that is no UTF-8
        (b"\x50\x01\x00\x07\xff", None),  # of a message that is not confirmable
        (b"\x40\x01\x00\x07\xe0\xff\xff", 7),  # an option 65804
        (b"\x40\x01\x00\x07\xf0", 7),  # an option of a reserved number
        (b"\x40\x01\x00\x07\x0f", 7),  # an option of a reserved length
        (b"\x40\x01\x00\x07\xd0", 7),  # an option whose number is cut off
        (b"\x40\x01\x00\x07" + b"\x10" * 65, 7),  # more options than anybody needs
        (b"\x40\x01\x00\x07\xc3\x01\x00\x00", 7),  # a content format of three bytes
        (b"\x40\x01\x00\x07\x64\x01\x00\x00\x00", 7),  # a number of an observation of four bytes
    ],
)
def test_format_error_names_the_message_to_reject(datagram: bytes, rejected_mid: int | None) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode(datagram)
    assert caught.value.mid == rejected_mid


def test_option_that_ends_with_the_marker_byte_is_no_marker() -> None:
    message = Message(code=Code.GET, etag=b"\xff")
    message.mtype, message.mid, message.token = Type.CON, 1, b""
    assert decode(encode(message)).opt.etag == b"\xff"


def test_confirmable_message_that_cannot_be_read_is_reset() -> None:
    sent: list[bytes] = []
    peer = CoapPeer(sent.append, 1, lambda: 0.0)
    assert peer.receive(b"\x40\x01\x00\x07\xff", 0.0) == []
    assert peer.receive(b"\x50\x01\x00\x07\xff", 0.0) == []
    assert sent == [bytes.fromhex("70000007")]


def test_strange_options_do_not_pile_up() -> None:
    """aiocoap keeps every option number that it has met."""
    before = len(OptionNumber)
    for number in range(64):
        with pytest.raises(ProtocolError):
            decode(b"\x40\x01\x00\x07" + b"\xe0\xff\x00" * (2 + number))
    assert len(OptionNumber) == before


@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_a_protocol_error(datagram: bytes) -> None:
    try:
        decode(datagram)
    except ProtocolError:
        return


@given(st.lists(st.tuples(st.sampled_from(range(len(GET_TEMPERATURE))), st.integers(0, 255)), max_size=6))
def test_a_spoilt_conversation_never_raises_and_holds_nothing(flips: list[tuple[int, int]]) -> None:
    spoilt = bytearray(GET_TEMPERATURE)
    for at, value in flips:
        spoilt[at] = value
    peer = CoapPeer(lambda _: None, 1, lambda: 0.0)
    for event in peer.receive(bytes(spoilt), 0.0):
        peer.respond(event.message, Message(code=Code.CONTENT), 0.0)  # type: ignore[union-attr]
    assert peer.wake_at == float("inf")
