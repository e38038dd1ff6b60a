"""Has a broker forget what it keeps under a client id: a clean session is begun, and ended."""

import asyncio
from typing import cast

from wire.mqtt import ConnAck, Connect, Disconnect, Framer, ProtocolError, read_frame


class Purge(asyncio.Protocol):
    """One connection; `done` says how it went, with OSError for a broker that did not take it."""

    def __init__(self, greeting: Connect) -> None:
        self._greeting = greeting
        self._framer = Framer()
        self._transport: asyncio.Transport | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._transport.write(self._greeting.encode())

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._framer.feed(data):
                self._answered(read_frame(ConnAck, frame, self._greeting.level))
        except ProtocolError as error:
            self._fail(str(error))

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(str(exc or "closed"))

    def end(self) -> None:
        """Hang up on a broker that was not fast enough; nobody waits for it any more."""
        self.done.cancel()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.abort()

    def _answered(self, answer: ConnAck) -> None:
        if answer.code or self._transport is None:
            self._fail(f"CONNACK {answer.code:#04x}")
        elif not self.done.done():
            self.done.set_result(None)
            self._transport.write(Disconnect().encode())
            self._transport.close()

    def _fail(self, why: str) -> None:
        if self._transport is not None:
            self._transport.abort()
        if not self.done.done():
            self.done.set_exception(ConnectionError(why))
