"""One HTTP connection: bounds on what a caller may keep open, and the vendor's body for what is no HTTP at all.

uvicorn bounds how long a connection may be silent after an answer, but neither how long a request may take to arrive,
nor how long its head is, nor how many connections wait. A connection *waits* while nobody works for it: it is silent,
or its request has not come whole.
"""

from asyncio import AbstractEventLoop, TimerHandle, Transport
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from broker.control_api.errors import Unserved
from broker.control_api.refusals import refusal


@dataclass(frozen=True, slots=True)
class Bounds:
    """`max_request` is more than the largest body that is taken: the rest of a refused one is not read for ever."""

    keep_alive_s: int = 75
    request_s: float = 30.0
    sweep_s: float = 1.0
    max_waiting: int = 1000
    max_head: int = 64 << 10
    max_request: int = 20 << 20


DEFAULT_BOUNDS = Bounds()


class Waiting:
    """The waiting connections and until when each may; who began first goes when there are too many."""

    def __init__(self, bounds: Bounds, loop: AbstractEventLoop) -> None:
        self.bounds = bounds
        self._loop = loop
        self._deadlines: dict[VendorHttpProtocol, float] = {}
        self._timer: TimerHandle | None = None

    def start(self) -> None:
        self._timer = self._loop.call_later(self.bounds.sweep_s, self._sweep)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def begin(self, connection: "VendorHttpProtocol", seconds: float) -> None:
        self.end(connection)
        if len(self._deadlines) >= self.bounds.max_waiting:
            self._time_out(next(iter(self._deadlines)))
        self._deadlines[connection] = self._loop.time() + seconds

    def end(self, connection: "VendorHttpProtocol") -> None:
        self._deadlines.pop(connection, None)

    def _sweep(self) -> None:
        now = self._loop.time()
        for connection in [one for one, deadline in self._deadlines.items() if deadline <= now]:
            self._time_out(connection)
        self.start()

    def _time_out(self, connection: "VendorHttpProtocol") -> None:
        self.end(connection)
        connection.time_out()


class VendorHttpProtocol(HttpToolsProtocol):
    """uvicorn's protocol within bounds; answers what it turns away as the vendor would."""

    request_ids: Iterator[str]
    waiting: Waiting

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override] # as uvicorn has it
        super().connection_made(transport)
        self._is_in_head = self._is_in_request = False
        self._received = 0
        self._running: RequestResponseCycle | None = None
        self.waiting.begin(self, self.waiting.bounds.request_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self.waiting.end(self)
        super().connection_lost(exc)
        if self._running is not None:  # uvicorn tells the last of several requests alone that their caller is gone
            self._running.disconnected = True
            self._running.message_event.set()
        self._unset_keepalive_if_required()  # uvicorn leaves the timer, and all that it holds, when a caller resets

    def data_received(self, data: bytes) -> None:
        was_in_head, bounds = self._is_in_head, self.waiting.bounds
        self._received += len(data)
        super().data_received(data)
        if was_in_head and self._is_in_head and self._received > bounds.max_head:
            self._refuse(Unserved(431, f"The head of a request has at most {bounds.max_head} bytes."))
        elif self._received > bounds.max_request:
            self._close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head = self._is_in_request = True
        self._received = 0
        self.waiting.begin(self, self.waiting.bounds.request_s)

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._is_in_request = False
        self.waiting.end(self)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.timeout_keep_alive_task is not None:
            self.waiting.begin(self, self.waiting.bounds.keep_alive_s)
        elif self.transport.is_closing():
            self._close()

    def send_400_response(self, msg: str) -> None:
        self._refuse(Unserved(400, msg))

    def time_out(self) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.abort()  # it does not read its answer either
        elif self.transport.is_closing():
            return
        elif self._is_in_request:
            self._refuse(Unserved(408, "The request did not come whole in time."))
        else:
            self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _refuse(self, error: Unserved) -> None:
        """Answer and close; answers that are due to earlier requests come first, and nothing follows half an answer."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            self._answer(error)
        elif not cycle.more_body:
            cycle.keep_alive = False
            self.transport.pause_reading()
        elif cycle.response_started or self.pipeline:
            self._close()
        else:
            cycle.disconnected = True
            cycle.message_event.set()
            self._answer(error)

    def _answer(self, error: Unserved) -> None:
        request_id, path = next(self.request_ids), (self.url or b"").decode("latin-1")
        scope = {"method": "", "path": path, "state": {"request_id": request_id}}
        body, status = bytes(refusal(error, scope).body), error.status
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\nConnection: close\r\n"
            f"X-Request-Id: {request_id}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self._close()

    def _close(self) -> None:
        """Close once all is sent; who does not read it has as long as for a request."""
        self.transport.close()
        if self.transport.get_write_buffer_size():
            self.waiting.begin(self, self.waiting.bounds.request_s)
