"""What a server answers a stranger (RFC 6347 §4.2.1): come again with this cookie. It remembers nothing of it.

OpenSSL can do this too, but not without a connection, and most strangers have no cookie yet. It still judges the
cookies that come back.
"""

from wire.dtls.records import HEADER, ContentType, client_hello

HELLO_VERIFY_REQUEST = 3
VERSION_1_0 = b"\xfe\xff"
MESSAGE_HEADER = 12
VERSION_AND_RANDOM = 34


def lacks_cookie(datagram: bytes) -> bool:
    """Tell whether a datagram starts with a ClientHello, in one piece, that brings no cookie."""
    hello = client_hello(datagram)
    if hello is None or len(hello) < MESSAGE_HEADER:
        return False
    length, offset, here = hello[1:4], hello[6:9], hello[9:12]
    if any(offset) or length != here or MESSAGE_HEADER + int.from_bytes(length) != len(hello):
        return False
    at = MESSAGE_HEADER + VERSION_AND_RANDOM
    at += 1 + hello[at] if at < len(hello) else 0
    return at < len(hello) and hello[at] == 0


def hello_verify_request(datagram: bytes, cookie: bytes) -> bytes:
    """Answer a ClientHello under the number of its own record: the next handshake is to begin as if there was none."""
    body = VERSION_1_0 + bytes((len(cookie),)) + cookie
    length = len(body).to_bytes(3)
    message = bytes((HELLO_VERIFY_REQUEST,)) + length + bytes(5) + length + body
    record_number = datagram[3 : HEADER - 2]
    return bytes((ContentType.HANDSHAKE,)) + VERSION_1_0 + record_number + len(message).to_bytes(2) + message
