"""A connection in memory: a transport for a protocol of ours, a reader and a writer for who serves it in this process.

These have the names that the amqtt package calls them by, and need nothing of that package.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from wire.mqtt import Connect, Framer, PacketType, read_frame

HIGH_WATER, LOW_WATER = 1 << 16, 1 << 14
PATIENCE = 10
"""How many turns of the loop the server may take to pass on a packet, before it gets the next one all the same."""
LOOK_EVERY_S = 0.001


class Connection(asyncio.Transport):
    """What the protocol writes is read packet by packet, as fast as the server passes them on, which it would not mind.

    `is_settled` tells whether it has: only then, or `linger_s` later, does it learn that the client says goodbye or is
    gone, with which it would forget the rest. `on_end` is called when it has read the end.
    """

    def __init__(self, protocol: asyncio.Protocol, linger_s: float) -> None:
        super().__init__()
        self._protocol = protocol
        self._linger_s = linger_s
        self._framer = Framer()
        self._frames: deque[bytes] = deque()
        self._waiting = 0
        self._frame, self._at = b"", 0
        self._news = asyncio.Event()
        self._is_closing = self._is_full = self._is_over = False
        self.is_settled: Callable[[], bool] = lambda: True
        self.on_end: Callable[[], object] = lambda: None
        self.is_served = False

    def greeting(self) -> Connect | None:
        """Have the protocol say its first packet, and return that; None if it does not want the connection any more."""
        self._protocol.connection_made(self)
        if self._is_closing:
            return None
        frame = self._frames[0]
        return read_frame(Connect, frame, 4)

    def over(self) -> None:
        """Nobody serves it any more, or will."""
        self._is_closing = True
        self._news.set()
        if not self._is_over:
            self._is_over = True
            self._protocol.connection_lost(None)

    # -- the transport of the protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._is_closing:
            return
        for frame in self._framer.feed(bytes(data)):
            self._frames.append(frame)
            self._waiting += len(frame)
        self._news.set()
        if self._waiting > HIGH_WATER and not self._is_full:
            self._is_full = True
            self._protocol.pause_writing()

    def close(self) -> None:
        """What was written is still read."""
        if self._is_closing:
            return
        self._is_closing = True
        self._news.set()
        if not self.is_served:
            asyncio.get_running_loop().call_soon(self.over)

    def abort(self) -> None:
        self._frames.clear()
        self._waiting = 0
        self.close()

    def is_closing(self) -> bool:
        return self._is_closing

    def get_write_buffer_size(self) -> int:
        return self._waiting

    def pause_reading(self) -> None:
        """Without effect: who serves us would keep what it cannot write, without a bound, and our link has one."""

    def resume_reading(self) -> None:
        """As above."""

    # -- what the server reads and writes

    async def read(self, n: int) -> bytes:
        """Return so much of the packet that is being read, or of the next one; less only at the end of all."""
        if n and self._at == len(self._frame):
            await self._next_frame()
        data = self._frame[self._at : self._at + n]
        self._at += len(data)
        return data

    def deliver(self, data: bytes) -> None:
        """Take what the server writes."""
        if not self._is_closing:
            self._protocol.data_received(data)

    async def _next_frame(self) -> None:
        for _ in range(PATIENCE):
            await asyncio.sleep(0)  # what was read last has its own task
            if self.is_settled():
                break
        while not self._frames and not self._is_closing:
            self._news.clear()
            await self._news.wait()
        if not self._frames or self._frames[0][0] >> 4 == PacketType.DISCONNECT:
            await self._settle()
        if not self._frames:
            self.on_end()
        self._frame, self._at = self._frames.popleft() if self._frames else b"", 0
        self._waiting -= len(self._frame)
        if self._is_full and self._waiting <= LOW_WATER and not self._is_closing:
            self._is_full = False
            self._protocol.resume_writing()

    async def _settle(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._linger_s
        while not self.is_settled() and loop.time() < deadline:
            await asyncio.sleep(LOOK_EVERY_S)


class Writer:
    """The other end, for whom serves the connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def write(self, data: bytes) -> None:
        """Write, and fail for a message to a client that is gone: its acknowledgement would be waited for."""
        if self._connection.is_closing() and data[0] >> 4 == PacketType.PUBLISH:
            raise ConnectionAbortedError("the client is gone")
        self._connection.deliver(data)

    async def drain(self) -> None:
        """There is nothing to wait for: what is written has arrived."""

    def get_peer_info(self) -> tuple[str, int]:
        return "gate", 0

    def get_ssl_info(self) -> None:
        """There is no TLS here."""

    async def close(self) -> None:
        self._connection.close()
