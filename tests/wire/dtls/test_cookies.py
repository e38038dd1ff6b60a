"""The answer to a stranger is the one that OpenSSL gives, and is given to nobody whom OpenSSL should judge."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL

from tests.wire.dtls.pairs import IDENTITY, KEY
from wire.dtls import Client
from wire.dtls.cookies import hello_verify_request, lacks_cookie

COOKIE = bytes(range(32))


def first_hello() -> bytes:
    (hello,) = Client().connect(IDENTITY, KEY).take()
    return hello


def hello_with_cookie() -> bytes:
    session = Client().connect(IDENTITY, KEY)
    session.receive(hello_verify_request(session.take()[0], COOKIE))
    (hello,) = session.take()
    return hello


def test_stranger_is_answered_as_openssl_does() -> None:
    context = SSL.Context(SSL.DTLS_SERVER_METHOD)
    context.set_cookie_generate_callback(lambda _: COOKIE)
    listener = SSL.Connection(context, None)
    listener.set_accept_state()
    hello = bytearray(first_hello())
    hello[5:11] = bytes(range(6))  # the answer bears the number of the question
    listener.bio_write(hello)
    with pytest.raises(SSL.WantReadError):
        listener.DTLSv1_listen()
    assert hello_verify_request(bytes(hello), COOKIE) == listener.bio_read(1 << 16)


def test_hello_that_brings_a_cookie_is_left_to_openssl() -> None:
    assert lacks_cookie(first_hello())
    assert COOKIE in hello_with_cookie()
    assert not lacks_cookie(hello_with_cookie())


@pytest.mark.parametrize("at", [16, 21, 24, 60])
def test_hello_in_pieces_or_of_wrong_lengths_is_left_to_openssl(at: int) -> None:
    hello = bytearray(first_hello())
    hello[at] += 1
    assert not lacks_cookie(bytes(hello))


@given(st.integers(0, 140), st.integers(0, 255), st.integers(0, 140))
def test_spoilt_hello_never_raises(at: int, value: int, end: int) -> None:
    hello = bytearray(first_hello())
    hello[at % len(hello)] = value
    lacks_cookie(bytes(hello[:end]))
    body = bytes(hello[13:end])
    lacks_cookie(bytes(hello[:11]) + len(body).to_bytes(2) + body)
