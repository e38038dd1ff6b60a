"""One DTLS session, from its first flight to its end."""

from contextlib import suppress
from enum import StrEnum
from typing import Protocol

from OpenSSL import SSL

from wire.dtls.engine import Engine, Silence
from wire.dtls.records import BAD_RECORD_MAC, Alert, ContentType, fatal_alert, is_one_record, records


class End(StrEnum):
    """Why a session is over, or never came to be."""

    WRONG_KEY = "wrong_key"
    UNKNOWN_IDENTITY = "unknown_identity"
    CLOSED = "closed"
    TIMEOUT = "timeout"
    REPLACED = "replaced"
    FAILED = "failed"


BLAMED: dict[int | None, End] = {
    Alert.BAD_RECORD_MAC: End.WRONG_KEY,
    Alert.DECRYPT_ERROR: End.WRONG_KEY,
    Alert.UNKNOWN_PSK_IDENTITY: End.UNKNOWN_IDENTITY,
}


class Side(Protocol):
    """The client or the server that a session belongs to; a callback of OpenSSL asks it which session is served."""

    serves: "Session | None"


class Session:
    """A session over one pair of addresses.

    Feed it datagrams, then send what `take` returns. `identity` is known from the moment the peer has named it, and
    proved once `is_open`. `end` tells that it is over; after that it takes and says nothing. `alert` is the description
    of the alert that a client's handshake failed with, if the server said why.
    The handshake is resent by OpenSSL's own clock: ask `resend_in_s`, and call `resend` then.
    """

    __slots__ = (
        "_changed_cipher",
        "_engine",
        "_finished",
        "_is_server",
        "_owes_alert",
        "_side",
        "alert",
        "end",
        "identity",
        "is_open",
        "key",
    )

    def __init__(self, engine: Engine, side: Side, *, is_server: bool) -> None:
        self._engine = engine
        self._side = side
        self._is_server = is_server
        self._changed_cipher = self._finished = self._owes_alert = False
        self.identity: bytes | None = None
        self.key: bytes | None = None
        self.is_open = False
        self.end: End | None = None
        self.alert: int | None = None

    def start(self) -> None:
        """Make the first flight of a client, or answer what a server's listener has taken in."""
        self._shake_hands()

    def receive(self, datagram: bytes) -> list[bytes]:
        """Take a datagram in; return what the peer has said, if the session is open."""
        if self.end is not None or not datagram:
            return []
        self._engine.put(datagram)
        if not self.is_open:
            self._shake_hands()
            self._judge(datagram)
        return self._read(datagram) if self.is_open else []

    def send(self, data: bytes) -> None:
        """Encrypt a datagram of the application's; it is dropped unless the session is open, and if it is too large."""
        if self.is_open and self.end is None:
            with suppress(SSL.Error):
                self._engine.connection.send(data)

    def take(self) -> list[bytes]:
        """Return the datagrams that are to be sent."""
        datagrams = self._engine.take()
        if self._owes_alert:
            self._owes_alert = False
            datagrams.append(BAD_RECORD_MAC)
        return datagrams

    def close(self) -> None:
        """Say goodbye (close_notify), if there is anybody."""
        if self.end is None and self.is_open:
            with suppress(SSL.Error):
                self._engine.connection.shutdown()
        self.end = self.end or End.CLOSED

    def resend_in_s(self) -> float | None:
        """Return how long OpenSSL waits until it sends its last flight again; None if it does not."""
        if self.is_open or self.end is not None:
            return None
        seconds: float | None = self._engine.connection.DTLSv1_get_timeout()
        return seconds

    def resend(self) -> None:
        self._engine.connection.DTLSv1_handle_timeout()

    def _shake_hands(self) -> None:
        self._side.serves = self
        silence = self._engine.shake_hands()
        self._side.serves = None
        self.is_open = silence is None
        if silence not in (None, Silence.NOT_YET):
            self.end = End.FAILED

    def _judge(self, datagram: bytes) -> None:
        """See from the outside what OpenSSL does not tell: whose fault it was that a handshake failed.

        A client reads it from the server's alert. A server's OpenSSL may drop a Finished that it cannot decrypt in
        silence (with CCM), or fail without saying why (with CBC). But once the key is known, a change of cipher and an
        encrypted handshake record behind it leave no other reason for a handshake that has not come to its end.
        """
        if not self._is_server:
            if self.end is End.FAILED:
                self.alert = fatal_alert(datagram)
                self.end = BLAMED.get(self.alert, End.FAILED)
        elif self.end is End.FAILED and self.identity is not None and self.key is None:
            self.end = End.UNKNOWN_IDENTITY
        elif not self.is_open and self.key is not None:
            for one in records(datagram):
                self._changed_cipher |= one.content_type == ContentType.CHANGE_CIPHER_SPEC
                self._finished |= one.content_type == ContentType.HANDSHAKE and one.epoch > 0
            if self._changed_cipher and self._finished:
                self._owes_alert = self.end is None
                self.end = End.WRONG_KEY

    def _read(self, datagram: bytes) -> list[bytes]:
        """Return what the peer has said.

        OpenSSL keeps a buffer of 16 KiB once it was asked for a record that is not there: it is not asked for another
        when the one of this datagram has been read.
        """
        said: list[bytes] = []
        while isinstance(heard := self._engine.read(), bytes):
            said.append(heard)
            if is_one_record(datagram):
                return said
        if heard is not Silence.NOT_YET:
            self.end = End.CLOSED if heard is Silence.GOODBYE else End.FAILED
        return said
