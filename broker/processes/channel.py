"""The local line between the hub and an access process: objects, in order, many to a frame.

A frame is written once in a turn, and straight to the kernel. Both ends are ours, so a frame is a pickle.
"""

import asyncio
import pickle
import socket
from collections.abc import Callable
from typing import Any

LENGTH = 4
CHUNK = 1 << 18
KERNEL_BUFFER = 1 << 20


class Channel:
    """One end; `take` gets what the other end posts, `closed` is called once when it is gone.

    `before` is done before anything is sent: what the other end hears of must be in the journal.
    """

    def __init__(
        self,
        sock: socket.socket,
        take: Callable[[Any], None],
        closed: Callable[[], None],
        before: Callable[[], None] = lambda: None,
    ) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER)
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self._take = take
        self._closed = closed
        self._before = before
        self._received = bytearray()
        self._due: list[object] = []
        self._unsent = bytearray()
        self.is_open = True
        self._loop.add_reader(sock, self._read)

    def post(self, letter: object) -> None:
        """Have something taken at the other end, after all that was posted before."""
        if not self._due:
            self._loop.call_soon(self.flush)
        self._due.append(letter)

    def post_later(self, letter: object) -> None:
        """Post something in the next turn: what this one writes to sockets, which loops collect, is out by then."""
        self._loop.call_soon(self.post, letter)

    def flush(self) -> None:
        """Send what is posted."""
        self._before()
        if not self._due:
            return
        frame = pickle.dumps(self._due, pickle.HIGHEST_PROTOCOL)
        self._due = []
        if not self.is_open:
            return
        data = len(frame).to_bytes(LENGTH, "big") + frame
        if self._unsent:
            self._unsent += data
            return
        sent = self._send(data)
        if sent < len(data):
            self._unsent += data[sent:]
            self._loop.add_writer(self._sock, self._send_rest)

    def close(self) -> None:
        """Send what is posted, as far as it goes, and hang up."""
        self.flush()
        if self.is_open:
            self.is_open = False
            self._loop.remove_reader(self._sock)
            self._loop.remove_writer(self._sock)
            self._sock.close()

    def _send(self, data: bytes | bytearray) -> int:
        """Send what goes; an other end that is gone is noticed by who reads."""
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            return len(data)

    def _send_rest(self) -> None:
        del self._unsent[: self._send(self._unsent)]
        if not self._unsent:
            self._loop.remove_writer(self._sock)

    def _read(self) -> None:
        try:
            data = self._sock.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            self._closed()
            return
        self._received += data
        while self.is_open and (frame := self._next_frame()) is not None:
            for letter in pickle.loads(frame):  # noqa: S301 - the other end is a process of ours
                self._take(letter)

    def _next_frame(self) -> bytes | None:
        end = LENGTH + int.from_bytes(self._received[:LENGTH], "big")
        if len(self._received) < max(LENGTH, end):
            return None
        frame = bytes(self._received[LENGTH:end])
        del self._received[:end]
        return frame
