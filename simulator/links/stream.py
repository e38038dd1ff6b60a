"""Connected TCP sockets of links: a reader in the loop, what is still to be sent, and no transport around it."""

import asyncio
import socket
from typing import Protocol

from simulator.links.tls import TlsSocket, why

READ_BYTES = 16_384


class Receiver(Protocol):
    """Whom a stream tells; no call comes from within a call to the stream."""

    def data_received(self, data: bytes) -> None: ...

    def stream_ended(self, reason: str) -> None:
        """It has ended by itself; its descriptor is gone."""


class Streams:
    """Makes streams, and sends at the end of a turn of the loop what was written to any of them in it.

    Sent one by one, the packets of a storm would wake the platform for every single one of them.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._due: list[Stream] = []

    def open(self, sock: socket.socket | TlsSocket, receiver: Receiver) -> "Stream":
        """Own a connected, non-blocking socket from now on."""
        return Stream(self, sock, receiver)

    def send_later(self, stream: "Stream") -> None:
        if not self._due:
            self.loop.call_soon(self._send)
        self._due.append(stream)

    def _send(self) -> None:
        due, self._due = self._due, []
        for stream in due:
            stream.send()


class Stream:
    """Owns its socket to the last moment; when `close` returns the descriptor is gone."""

    __slots__ = ("_failure", "_is_finishing", "_receiver", "_sock", "_streams", "_unsent")

    def __init__(self, streams: Streams, sock: socket.socket | TlsSocket, receiver: Receiver) -> None:
        self._streams = streams
        self._sock = sock
        self._receiver = receiver
        self._unsent = b""
        self._failure = ""
        self._is_finishing = False
        streams.loop.add_reader(sock, self._readable)

    def write(self, data: bytes) -> None:
        """Send at the end of this turn; that the peer is gone is told by reading, not by writing."""
        if not self._unsent:
            self._streams.send_later(self)
        self._unsent += data

    def send(self) -> None:
        """Send what the kernel takes, and the rest when it takes more."""
        if not self._unsent:
            return
        try:
            sent = self._sock.send(self._unsent)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:  # the reader tells; it would find an end without a reason
            self._failure = why(error)
            sent = len(self._unsent)
        self._unsent = self._unsent[sent:]
        if self._unsent:
            self._streams.loop.add_writer(self._sock, self._writable)

    def finish(self) -> None:
        """Close as soon as everything is sent; `stream_ended` tells."""
        self.send()
        self._is_finishing = True
        if not self._unsent:
            self.close()
            self._streams.loop.call_soon(self._receiver.stream_ended, "closed")

    def close(self) -> None:
        """Close at once; what is unsent is lost. Without effect on a stream that has ended."""
        if self._sock.fileno() == -1:
            return
        self._streams.loop.remove_reader(self._sock)
        self._streams.loop.remove_writer(self._sock)
        self._unsent = b""
        self._sock.close()

    def _readable(self) -> None:
        try:
            data = self._sock.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._end(why(error))
            return
        if data:
            self._receiver.data_received(data)
        else:
            self._end(self._failure or "closed by the platform")

    def _writable(self) -> None:
        self._streams.loop.remove_writer(self._sock)
        self.send()
        if self._is_finishing and not self._unsent:
            self._end("closed")

    def _end(self, reason: str) -> None:
        self.close()
        self._receiver.stream_ended(reason)
