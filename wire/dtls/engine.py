"""One connection of OpenSSL, asked below pyOpenSSL's methods.

Those say "not yet", which is most of what a handshake has to say, with an exception, and take a new buffer for every
read: 8 % of what a device that registers costs the platform, and 14 % of what it costs the device.

What is private of pyOpenSSL is named here and looked for once; its version is bounded.
"""

from enum import Enum, auto
from typing import Any

from OpenSSL import SSL

from wire.dtls.records import MAX_DATAGRAM, into_datagrams

ffi: Any = getattr(SSL, "_ffi", None)
lib: Any = getattr(SSL, "_lib", None)

PSK_ON_SERVER, PSK_ON_CLIENT = "SSL_CTX_set_psk_server_callback", "SSL_CTX_set_psk_client_callback"
ASKED = ("BIO_read", "BIO_write", "SSL_do_handshake", "SSL_read", "SSL_get_error", "ERR_clear_error")

for _name in (PSK_ON_SERVER, PSK_ON_CLIENT, *ASKED):
    if not hasattr(lib, _name):
        raise ImportError(
            f"pyOpenSSL has no {_name}: expected pyOpenSSL 26.4, which DTLS with pre-shared keys is built on"
        )

ROOM = 16_384
"""What a record holds."""


def new_room() -> Any:
    """A buffer to read into, which all connections of one side share."""
    return ffi.new("char[]", ROOM)


class Silence(Enum):
    """Why there is nothing to read, or no handshake that has come to its end."""

    NOT_YET = auto()
    GOODBYE = auto()
    FAILURE = auto()


class Engine:
    """A connection that takes datagrams in and gives out what is to be sent; nothing but its making raises."""

    __slots__ = ("_from_ssl", "_into_ssl", "_room", "_ssl", "connection")

    def __init__(self, context: SSL.Context, room: Any) -> None:
        self.connection = SSL.Connection(context, None)
        self.connection.set_ciphertext_mtu(MAX_DATAGRAM)
        inside: Any = self.connection
        self._ssl, self._into_ssl, self._from_ssl = inside._ssl, inside._into_ssl, inside._from_ssl  # noqa: SLF001
        self._room = room

    def put(self, datagram: bytes) -> None:
        lib.BIO_write(self._into_ssl, datagram, len(datagram))

    def take(self) -> list[bytes]:
        """Return the datagrams that OpenSSL has made since it was last asked."""
        stream = b""
        while (size := lib.BIO_read(self._from_ssl, self._room, ROOM)) > 0:
            stream += ffi.buffer(self._room, size)[:]
        return into_datagrams(stream)

    def shake_hands(self) -> Silence | None:
        """Go on with the handshake; return None once it is done."""
        result = lib.SSL_do_handshake(self._ssl)
        return None if result == 1 else self._silence(result)

    def read(self) -> bytes | Silence:
        """Return what the next record says."""
        size = lib.SSL_read(self._ssl, self._room, ROOM)
        if size <= 0:
            return self._silence(size)
        data: bytes = ffi.buffer(self._room, size)[:]
        return data

    def _silence(self, result: int) -> Silence:
        error = lib.SSL_get_error(self._ssl, result)
        if error == lib.SSL_ERROR_WANT_READ:
            return Silence.NOT_YET
        lib.ERR_clear_error()  # or the next connection that is asked takes it for its own
        return Silence.GOODBYE if error == lib.SSL_ERROR_ZERO_RETURN else Silence.FAILURE
