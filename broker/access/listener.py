"""The sockets of the gate: accept, read, write in turns, time out, and close without losing the last word.

What a turn of the loop has to say is collected and goes out once, after the journal: nothing is acknowledged that the
journal does not hold. An idle connection costs no task and no timer; one sweep looks after all deadlines.
"""

import asyncio
import math
import socket
import ssl
import traceback
from contextlib import suppress
from typing import Protocol, cast

from broker.access.answers import farewell
from broker.access.connection import Phase, Request, ServerConnection
from broker.access.tls import TlsChannel, TlsFailed
from broker.clock import Clock
from broker.complaints import complain
from broker.journal import Journal
from broker.sessions import Ending, Session
from broker.settings import Settings
from broker.statistics import Statistics
from wire.mqtt import ProtocolError, UnsupportedVersion

BACKLOG = 4096
TURNS_TO_A_LINK = 3
"""So many turns of the loop lie, at most, between a connection that it accepts and `connection_made`."""


class Handler(Protocol):
    """Who decides what requests mean."""

    def handle(self, link: "Link", request: Request) -> None: ...

    def refuse_version(self, link: "Link", level: int) -> None: ...

    def refuse_unavailable(self, link: "Link", level: int) -> None:
        """Judging the CONNECT has failed."""

    def ended(self, link: "Link", ending: Ending) -> None:
        """An unrefused link is over; called once, before its last bytes are written."""

    def sweep(self) -> None:
        """Called every now and then, for what is not urgent."""


class Listener:
    """Owns the listening socket and every link that came through it."""

    def __init__(
        self, settings: Settings, handler: Handler, journal: Journal, statistics: Statistics, clock: Clock
    ) -> None:
        self.settings = settings
        self.handler = handler
        self.journal = journal
        self.statistics = statistics
        self.clock = clock
        self.loop = asyncio.get_running_loop()
        self.links: set[Link] = set()
        self.is_stopping = False
        self._to_write: list[Link] = []
        self._all_gone = asyncio.Event()
        self._servers: list[asyncio.Server] = []
        self._sweeper: asyncio.TimerHandle | None = None

    async def start(self, listening: socket.socket, secure: tuple[socket.socket, ssl.SSLContext] | None = None) -> None:
        """Take clients in the clear, and others over TLS."""
        self._servers.append(await self.loop.create_server(lambda: Link(self), sock=listening, backlog=BACKLOG))
        if secure is not None:
            sock, context = secure
            made = self.loop.create_server(lambda: Link(self, TlsChannel(context)), sock=sock, backlog=BACKLOG)
            self._servers.append(await made)
        self._sweeper = self.loop.call_later(self.settings.sweep_s, self._sweep)

    async def stop(self) -> None:
        """Take no more clients, cut everybody, and wait until the last bytes are out."""
        if self._sweeper is None:
            return
        self.is_stopping = True
        self._sweeper.cancel()
        for server in self._servers:
            server.close()
        for link in list(self.links):
            link.cut(Ending.STOPPING)
        for _ in range(TURNS_TO_A_LINK):
            await asyncio.sleep(0)
        while self.links:
            self._all_gone.clear()
            await self._all_gone.wait()

    def forget(self, link: "Link") -> None:
        """The socket of this link is closed."""
        self.links.discard(link)
        if not self.links:
            self._all_gone.set()

    def write_after_turn(self, link: "Link") -> None:
        """Have `link.write_due` called at the end of this turn, when the journal is written."""
        if not self._to_write:
            self.loop.call_soon(self._end_turn)
        self._to_write.append(link)

    def _end_turn(self) -> None:
        self.journal.flush()
        links, self._to_write = self._to_write, []
        for link in links:
            link.write_due()

    def _sweep(self) -> None:
        now = self.clock.now()
        for link in [one for one in self.links if one.deadline < now]:
            link.expire()
        self.handler.sweep()
        self._sweeper = self.loop.call_later(self.settings.sweep_s, self._sweep)


class Link(asyncio.Protocol):
    """One client's socket. Its conversation ends exactly once: by `refuse`, by `cut`, or because the socket broke."""

    __slots__ = (
        "_conversation",
        "_due",
        "_listener",
        "_patience_s",
        "_timer",
        "_tls",
        "_transport",
        "deadline",
        "peer",
        "session",
    )

    def __init__(self, listener: Listener, tls: TlsChannel | None = None) -> None:
        self._listener = listener
        self._tls = tls
        self._conversation = ServerConnection(listener.settings.max_packet_body)
        self._transport: asyncio.Transport | None = None
        self._due: list[bytes] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._patience_s = math.inf
        self.deadline = listener.clock.now() + listener.settings.connect_timeout_s
        self.peer = ""
        self.session: Session | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        host, port = (transport.get_extra_info("peername") or ("gone", 0))[:2]
        self.peer = f"{host}:{port}"
        self._listener.links.add(self)
        self._listener.statistics.connections += 1
        if self._listener.is_stopping:  # it was accepted before we took no more, and nobody else will end it
            self.cut(Ending.STOPPING)

    def data_received(self, data: bytes) -> None:
        """The guard is here: whatever one client brings about, it ends that client's link and no other."""
        listener = self._listener
        listener.statistics.bytes_in += len(data)
        if self._conversation.phase is Phase.CLOSED:
            return
        try:
            if self._tls is not None and not (data := self._decrypted(self._tls, data)):
                return
            self._conversation.feed(data)
            while (request := self._conversation.next_request()) is not None:
                self.deadline = listener.clock.now() + self._patience_s
                listener.handler.handle(self, request)
        except TlsFailed as error:
            listener.journal.write("tls_failed", peer=self.peer, reason=error.reason)
            self.cut(Ending.PROTOCOL_ERROR)
        except UnsupportedVersion as error:
            listener.handler.refuse_version(self, error.level)
        except ProtocolError as error:
            self.cut(Ending.PROTOCOL_ERROR, error)
        except Exception:  # noqa: BLE001 - the guard
            listener.statistics.internal_errors += 1
            complain(f"serving {self.peer} failed\n{traceback.format_exc()}")
            if self._conversation.phase is Phase.AWAITING_CONNECT:
                listener.handler.refuse_unavailable(self, self._conversation.level)
            else:
                self.cut(Ending.INTERNAL_ERROR)

    @property
    def is_secure(self) -> bool:
        return self._tls is not None

    def _decrypted(self, tls: TlsChannel, data: bytes) -> bytes:
        """Read what the client says over TLS; its handshake is answered at once, and its end is the stream's."""
        try:
            said = tls.receive(data)
        finally:
            if self._transport is not None and (answer := tls.take()):
                self._transport.write(answer)
        if tls.has_ended:
            self._listener.loop.call_soon(self.cut, Ending.CONNECTION_LOST)  # once what it said is served
        return said

    def eof_received(self) -> None:
        if self._tls is not None and not self._tls.is_open and self._conversation.phase is Phase.SILENT:
            self._listener.journal.write("tls_failed", peer=self.peer, reason="closed_by_the_client")
        self.cut(Ending.CONNECTION_LOST)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why a socket broke changes nothing
        """Let go of all that leads back here: what was received must not wait for the collector, which comes rarely."""
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._listener.forget(self)
        self.cut(Ending.CONNECTION_LOST)
        self.session = None

    def accept(self, session: Session, patience_s: float, connack: bytes) -> None:
        """Answer CONNECT with success; from now on the client may be silent for `patience_s`."""
        self.session = session
        self._patience_s = patience_s
        self.deadline = self._listener.clock.now() + patience_s
        self._conversation.accept()
        self._collect(connack)

    def refuse(self, connack: bytes) -> None:
        """Answer CONNECT with a refusal, and close."""
        self._conversation.close()
        self.deadline = math.inf
        self._collect(connack)

    def send(self, data: bytes) -> None:
        if self._conversation.phase is Phase.OPEN:
            self._collect(data)

    def cut(self, ending: Ending, error: ProtocolError | None = None) -> None:
        """End the conversation; a client of MQTT 5 that is in is told why, by `error` if it broke a rule."""
        if self._conversation.phase is Phase.CLOSED:
            return
        self._conversation.close()
        self._listener.handler.ended(self, ending)
        if self.session is not None and (last := farewell(self.session.terms, ending, error)):
            self._collect(last)
        self.deadline = math.inf
        self._listener.journal.flush()
        self.write_due()  # at once: who cuts a session is answered in a later turn, and so after its client knows

    def expire(self) -> None:
        """The client was silent for too long."""
        self.cut(Ending.CONNECT_TIMEOUT if self.session is None else Ending.KEEPALIVE)

    def write_due(self) -> None:
        """Write what was collected, and the end after the last; a client that left too much unread is cut instead."""
        due, self._due = self._due, None
        if self._transport is None or self._transport.is_closing():
            return
        if self._leaves_too_much_unread(self._transport):
            self.cut(Ending.SLOW_CONSUMER)
            return
        if due:
            data = b"".join(due)
            data = data if self._tls is None else self._tls.encrypt(data)
            self._listener.statistics.bytes_out += len(data)
            self._transport.write(data)
        if self._conversation.phase is Phase.CLOSED:
            self._write_end(self._transport)

    def _leaves_too_much_unread(self, transport: asyncio.Transport) -> bool:
        """A client that is cut for it still gets its last word."""
        unread = transport.get_write_buffer_size()
        return unread > self._listener.settings.write_cap and self._conversation.phase is not Phase.CLOSED

    def _collect(self, data: bytes) -> None:
        if self._due is None:
            self._due = []
            self._listener.write_after_turn(self)
        self._due.append(data)

    def _write_end(self, transport: asyncio.Transport) -> None:
        """Write the end of the stream, then read on until the client closes, but not for long.

        Closing with input unread would reset the connection and take the last bytes from the client.
        """
        if self._timer is not None:
            return
        if self._tls is not None:
            transport.write(self._tls.goodbye())
        with suppress(OSError):  # the client may have gone already
            transport.write_eof()
        self._timer = self._listener.loop.call_later(self._listener.settings.stuck_s, self._linger)

    def _linger(self) -> None:
        """Give the client the rest of its time, unless it does not even read."""
        settings = self._listener.settings
        if self._transport is None:
            return
        if self._transport.get_write_buffer_size():
            self._transport.abort()
        else:
            rest_s = max(0.0, settings.linger_s - settings.stuck_s)
            self._timer = self._listener.loop.call_later(rest_s, self._transport.abort)
