"""The outside of DTLS records (RFC 6347 §4.1): as much as must be known before, and beside, a library that reads them.

Whatever bytes come in, nothing here raises.
"""

from collections.abc import Iterator
from dataclasses import field
from enum import IntEnum

from wire.record import record

HEADER = 13
VERSION_1_2 = b"\xfe\xfd"
CLIENT_HELLO, HANDSHAKE, IN_THE_CLEAR = b"\1", b"\x16", b"\0\0"
FATAL = 2
MAX_DATAGRAM = 1200


class ContentType(IntEnum):
    CHANGE_CIPHER_SPEC = 20
    ALERT = 21
    HANDSHAKE = 22


class Alert(IntEnum):
    """The descriptions that tell of a key (RFC 5246 §7.2, RFC 4279 §2)."""

    CLOSE_NOTIFY = 0
    BAD_RECORD_MAC = 20
    DECRYPT_ERROR = 51
    UNKNOWN_PSK_IDENTITY = 115


BAD_RECORD_MAC = bytes(
    (ContentType.ALERT, *VERSION_1_2, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 2, FATAL, Alert.BAD_RECORD_MAC)
)
"""A fatal alert in the clear; its sequence number is beyond all that a handshake comes to."""


@record
class Record:
    content_type: int
    epoch: int
    body: bytes = field(repr=False)


def records(datagram: bytes) -> Iterator[Record]:
    """Take a datagram apart, up to its first record that is not whole."""
    at = 0
    while at + HEADER <= len(datagram):
        end = at + HEADER + int.from_bytes(datagram[at + 11 : at + HEADER])
        if end > len(datagram):
            return
        yield Record(datagram[at], int.from_bytes(datagram[at + 3 : at + 5]), datagram[at + HEADER : end])
        at = end


def is_one_record(datagram: bytes) -> bool:
    """Tell whether a datagram ends where its first record does."""
    return len(datagram) == HEADER + int.from_bytes(datagram[11:HEADER])


def client_hello(datagram: bytes) -> bytes | None:
    """Return the body of the ClientHello that a datagram starts with, if it does: behind it may be the next flight."""
    if datagram[HEADER : HEADER + 1] != CLIENT_HELLO or datagram[:1] != HANDSHAKE or datagram[3:5] != IN_THE_CLEAR:
        return None
    end = HEADER + int.from_bytes(datagram[11:HEADER])
    return datagram[HEADER:end] if HEADER < end <= len(datagram) else None


def fatal_alert(datagram: bytes) -> int | None:
    """Return the description of a fatal alert that was sent in the clear, if there is one."""
    for one in records(datagram):
        if one.content_type == ContentType.ALERT and not one.epoch and len(one.body) == 2 and one.body[0] == FATAL:
            return one.body[1]
    return None


def into_datagrams(stream: bytes) -> list[bytes]:
    """Split what a library wrote into datagrams of whole records."""
    datagrams, start, at = [], 0, 0
    while at < len(stream):
        end = at + HEADER + int.from_bytes(stream[at + 11 : at + HEADER])
        if end - start > MAX_DATAGRAM and at > start:
            datagrams.append(stream[start:at])
            start = at
        at = end
    if start < len(stream):
        datagrams.append(stream[start:])
    return datagrams
