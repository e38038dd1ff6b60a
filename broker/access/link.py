"""One client's socket: read, write in turns, and close without losing the last word.

What a turn of the loop has to say is collected and goes out once, after the journal: nothing is acknowledged that the
journal does not hold. An idle connection costs no task and no timer.
"""

import asyncio
import math
import traceback
from contextlib import suppress
from typing import Protocol, cast

from broker.access.answers import farewell
from broker.access.connection import Phase, Request, ServerConnection
from broker.access.tls import TlsChannel, TlsFailed
from broker.access.turns import Turns
from broker.complaints import complain
from broker.notes import Notes
from broker.sessions import Ending, Session
from broker.settings import Settings
from wire.mqtt import ProtocolError, UnsupportedVersion


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


class Links:
    """Every link of a listener, and what they share."""

    def __init__(self, settings: Settings, handler: Handler, notes: Notes, turns: Turns) -> None:
        self.settings = settings
        self.handler = handler
        self.journal = notes.journal
        self.statistics = notes.statistics
        self.clock = notes.clock
        self.turns = turns
        self.loop = asyncio.get_running_loop()
        self.open: set[Link] = set()
        self.all_gone = asyncio.Event()
        self.is_stopping = False

    def forget(self, link: "Link") -> None:
        """The socket of this link is closed."""
        self.open.discard(link)
        if not self.open:
            self.all_gone.set()


class Link(asyncio.Protocol):
    """One client's socket. Its conversation ends exactly once: by `refuse`, by `cut`, or because the socket broke."""

    __slots__ = (
        "_conversation",
        "_due",
        "_is_reading_paused",
        "_links",
        "_patience_s",
        "_timer",
        "_tls",
        "_transport",
        "deadline",
        "peer",
        "session",
    )

    def __init__(self, links: Links, tls: TlsChannel | None = None) -> None:
        self._links = links
        self._tls = tls
        self._conversation = ServerConnection(links.settings.max_packet_body, any_client=links.settings.is_open)
        self._transport: asyncio.Transport | None = None
        self._due: list[bytes] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._patience_s = math.inf
        self._is_reading_paused = False
        self.deadline = links.clock.now() + links.settings.connect_timeout_s
        self.peer = ""
        self.session: Session | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        host, port = (transport.get_extra_info("peername") or ("gone", 0))[:2]
        self.peer = f"{host}:{port}"
        self._links.open.add(self)
        self._links.statistics.connections += 1
        if self._links.is_stopping:  # it was accepted before we took no more, and nobody else will end it
            self.cut(Ending.STOPPING)

    def data_received(self, data: bytes) -> None:
        self._links.statistics.bytes_in += len(data)
        if self._conversation.phase is Phase.HOLDING:  # who waits for the answer, as nearly all do, costs nothing more
            self.pause_reading()
        if self._conversation.phase is not Phase.CLOSED:
            self._serve(data)

    def _serve(self, data: bytes) -> None:
        """The guard is here: whatever one client brings about, it ends that client's link and no other."""
        links = self._links
        try:
            if data and self._tls is not None:
                data = self._decrypted(self._tls, data)
            if data:
                self._conversation.feed(data)
            while (request := self._conversation.next_request()) is not None:
                self.deadline = links.clock.now() + self._patience_s
                links.handler.handle(self, request)
        except TlsFailed as error:
            links.journal.write("tls_failed", peer=self.peer, reason=error.reason)
            self.cut(Ending.PROTOCOL_ERROR)
        except UnsupportedVersion as error:
            links.handler.refuse_version(self, error.level)
        except ProtocolError as error:
            self.cut(Ending.PROTOCOL_ERROR, error)
        except Exception:  # noqa: BLE001 - the guard
            links.statistics.internal_errors += 1
            complain(f"serving {self.peer} failed\n{traceback.format_exc()}")
            if self._conversation.phase in (Phase.AWAITING_CONNECT, Phase.HOLDING):
                links.handler.refuse_unavailable(self, self._conversation.level)
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
            self._links.loop.call_soon(self.cut, Ending.CONNECTION_LOST)  # once what it said is served
        return said

    def eof_received(self) -> None:
        if self._tls is not None and not self._tls.is_open and self._conversation.phase is Phase.SILENT:
            self._links.journal.write("tls_failed", peer=self.peer, reason="closed_by_the_client")
        self.cut(Ending.CONNECTION_LOST)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why a socket broke changes nothing
        """Let go of all that leads back here: what was received must not wait for the collector, which comes rarely."""
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._links.forget(self)
        self.cut(Ending.CONNECTION_LOST)
        self.session = None

    @property
    def is_held(self) -> bool:
        return self._conversation.phase is Phase.HOLDING

    def hold(self, session: Session | None) -> None:
        """The CONNECT has no answer yet, and no session if it is not judged: nothing more is served until it has."""
        self.session = session
        self._conversation.hold()

    def accept(self, patience_s: float, connack: bytes) -> None:
        """Answer CONNECT with success; from now on the client may be silent for `patience_s`."""
        self._patience_s = patience_s
        self.deadline = self._links.clock.now() + patience_s
        self._conversation.accept()
        self._collect(connack)
        if self._is_reading_paused:
            self.resume_reading()
        elif self._conversation.has_unread:
            self._links.loop.call_soon(self._go_on)

    def raw(self) -> bytes:
        return self._conversation.raw()

    def pause_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing() and not self._is_reading_paused:
            self._is_reading_paused = True
            self.deadline = self._links.clock.now() + self._patience_s  # that it has gone would not be heard either
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on, with what came before the pause."""
        if self._is_reading_paused and self._conversation.phase is not Phase.CLOSED:
            self.deadline = self._links.clock.now() + self._patience_s
            self._links.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        """Serve what came before the pause, and read on unless that brings about another."""
        if self._conversation.phase is not Phase.CLOSED:
            self._read_on()
            self._serve(b"")

    def _read_on(self) -> None:
        if self._is_reading_paused and self._transport is not None and not self._transport.is_closing():
            self._is_reading_paused = False
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        """The client takes less than we have for it."""
        if self.session is not None:
            self.session.engine.pause()

    def resume_writing(self) -> None:
        if self.session is not None:
            self.session.engine.resume()

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
        self._links.handler.ended(self, ending)
        if self.session is not None and self.session.is_open and (last := farewell(self.session.terms, ending, error)):
            self._collect(last)
        self.deadline = math.inf
        self._links.journal.flush()
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
            self._links.statistics.bytes_out += len(data)
            self._transport.write(data)
        if self._conversation.phase is Phase.CLOSED:
            self._write_end(self._transport)

    def _leaves_too_much_unread(self, transport: asyncio.Transport) -> bool:
        """A client that is cut for it still gets its last word."""
        unread = transport.get_write_buffer_size()
        return unread > self._links.settings.write_cap and self._conversation.phase is not Phase.CLOSED

    def _collect(self, data: bytes) -> None:
        if self._due is None:
            self._due = []
            self._links.turns.write_after(self)
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
        self._read_on()
        self._timer = self._links.loop.call_later(self._links.settings.stuck_s, self._linger)

    def _linger(self) -> None:
        """Give the client the rest of its time, unless it does not even read."""
        settings = self._links.settings
        if self._transport is None:
            return
        if self._transport.get_write_buffer_size():
            self._transport.abort()
        else:
            rest_s = max(0.0, settings.linger_s - settings.stuck_s)
            self._timer = self._links.loop.call_later(rest_s, self._transport.abort)
