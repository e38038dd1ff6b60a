"""TLS on one client's connection: ciphertext in, plain text out, and why it failed in a word for the journal."""

import ssl
from contextlib import suppress

LARGEST_RECORD = 16_384

WORDS = {
    "HTTP_REQUEST": "not_tls",
    "WRONG_VERSION_NUMBER": "not_tls",
    "RECORD_LAYER_FAILURE": "not_tls",
    "UNKNOWN_PROTOCOL": "not_tls",
    "UNSUPPORTED_PROTOCOL": "tls_version_too_low",
    "VERSION_TOO_LOW": "tls_version_too_low",
    "TLSV1_ALERT_PROTOCOL_VERSION": "tls_version_too_low",
    "NO_SHARED_CIPHER": "no_shared_cipher",
    "TLSV1_ALERT_UNKNOWN_CA": "client_does_not_trust_us",
    "SSLV3_ALERT_BAD_CERTIFICATE": "client_does_not_trust_us",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "client_does_not_trust_us",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "client_finds_our_certificate_expired",
}
"""OpenSSL's reasons, in ours; what is not among them is told as OpenSSL says it."""


class TlsFailed(Exception):
    """The handshake came to nothing, or what came after it is no TLS; `reason` is for the journal."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TlsChannel:
    """One connection. What there is to send, alerts too, is returned by `take`."""

    __slots__ = ("_incoming", "_outgoing", "_session", "has_ended", "is_open")

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.is_open = False
        self.has_ended = False

    def receive(self, data: bytes) -> bytes:
        """Take ciphertext in, return what it says. Raises TlsFailed; `has_ended` tells of the client's last word."""
        self._incoming.write(data)
        said: list[bytes] = []
        try:
            if not self.is_open:
                self._session.do_handshake()
                self.is_open = True
            while chunk := self._session.read(LARGEST_RECORD):
                said.append(chunk)
            self.has_ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.has_ended = True
        except ssl.SSLError as error:
            raise TlsFailed(WORDS.get(error.reason, (error.reason or "broken").lower())) from None
        return b"".join(said)

    def encrypt(self, data: bytes) -> bytes:
        """Return what is to be sent for this; nothing in a session that is broken."""
        with suppress(ssl.SSLError):
            self._session.write(data)
        return self.take()

    def take(self) -> bytes:
        return self._outgoing.read()

    def goodbye(self) -> bytes:
        """Return the last record (close_notify), if there is anybody to read it."""
        if self.is_open:
            with suppress(ssl.SSLError):
                self._session.unwrap()
        return self.take()
