"""TLS for links over TCP: the handshake on a connected socket, and a socket that fails as a plain one does."""

import asyncio
import functools
import os
import socket
import ssl
from collections.abc import Callable
from typing import Generic, TypeVar

ENDS = (ssl.SSLEOFError, ssl.SSLZeroReturnError)  # which of them it is, is a matter of Python's version

Argument = TypeVar("Argument")
Result = TypeVar("Result")


def trusting(ca: str | None) -> ssl.SSLContext:
    """Make the context that all links of a fleet share: TLS 1.2 or 1.3, the server verified.

    `ca`: the certificates of who may vouch for it (PEM); None trusts whom the machine trusts. ValueError if it is none.
    """
    if ca is not None and not ca.strip():
        raise ValueError("no certificates in PEM: it is empty")
    try:
        context = ssl.create_default_context(cadata=ca and ca.encode("ascii", "ignore").decode())  # names in comments
    except ssl.SSLError as error:
        raise ValueError(f"no certificates in PEM: {error.reason}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


S = TypeVar("S", bound="socket.socket | TlsSocket")


class Covered(Generic[S]):
    """A socket under a cover: what needs no translation."""

    __slots__ = ("_sock",)

    def __init__(self, sock: S) -> None:
        self._sock = sock

    def close(self) -> None:
        self._sock.close()

    def fileno(self) -> int:
        return self._sock.fileno()

    def setblocking(self, flag: bool) -> None:
        self._sock.setblocking(flag)


class TlsSocket(Covered[ssl.SSLSocket]):
    """What streams and paho need of a socket: a call that cannot go on now is a BlockingIOError, as on a plain one."""

    __slots__ = ()

    def recv(self, size: int) -> bytes:
        return _unless_it_waits(self._sock.recv, size)

    def send(self, data: bytes | bytearray) -> int:
        return _unless_it_waits(self._sock.send, data)

    def pending(self) -> int:
        """How many bytes can be read although the socket is not readable: they are decrypted already."""
        return self._sock.pending()


class Handshake:
    """A handshake under way on a connected, non-blocking socket; `done` or `failed` is called later, once."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        context: ssl.SSLContext,
        name: str,
        done: Callable[[TlsSocket], None],
        failed: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._wrap = functools.partial(context.wrap_socket, server_hostname=name, do_handshake_on_connect=False)
        self._done = done
        self._failed = failed
        loop.call_soon(self._begin)

    def give_up(self) -> None:
        """End it at once; nobody is called back."""
        if self._sock.fileno() != -1:
            self._rest()
            self._sock.close()

    def _begin(self) -> None:
        if self._sock.fileno() == -1:
            return
        plain = self._sock
        try:
            self._sock = self._wrap(plain)
        except (OSError, ValueError) as error:  # it has been reset meanwhile, or the name is none
            plain.close()
            self._failed(_why_not(error))
        else:
            self._go_on()

    def _go_on(self) -> None:
        tls = self._sock
        assert isinstance(tls, ssl.SSLSocket), "it has begun"
        self._rest()
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            self._loop.add_reader(tls, self._go_on)
        except ssl.SSLWantWriteError:
            self._loop.add_writer(tls, self._go_on)
        except OSError as error:
            tls.close()
            self._failed(_why_not(error))
        else:
            self._done(TlsSocket(tls))

    def _rest(self) -> None:
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)


def _unless_it_waits(call: Callable[[Argument], Result], argument: Argument) -> Result:
    try:
        return call(argument)
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        raise BlockingIOError from None


def _why_not(error: Exception) -> str:
    """Say why there is no TLS on a connection."""
    is_of_tls = isinstance(error, ssl.SSLError) and not isinstance(error, ENDS)
    return why(error) if is_of_tls else f"{why(error)} during the TLS handshake"


def why(error: Exception) -> str:
    """Say in words what became of a connection, over TLS or not."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate was not accepted: {error.verify_message}"
    if isinstance(error, ENDS):
        return "closed by the platform"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {(error.reason or str(error)).replace('_', ' ').lower()}"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return str(error)
