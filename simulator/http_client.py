"""HTTP/1.1 calls by the ten thousand: a pool of kept connections and httptools' parser.

A general client takes four times as long for a call: in a wave of resets it would be the largest part of the load that
the simulator puts on its own machine.
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import cast
from urllib.parse import urlsplit

import httptools

from simulator.errors import UsageError

MAX_CONNECTIONS = 64
Sign = Callable[[str, str, Mapping[str, str], bytes], Mapping[str, str]]
"""From method, target, headers and body of a request to the headers that its signature adds."""

KEPT_S = 2.0
"""An idle connection is kept for this long, and half of it more: servers close theirs after five seconds and later."""


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    body: bytes = field(repr=False)  # a reset's answer holds the secret


class HttpClient:
    """Calls one server; at most `MAX_CONNECTIONS` calls are under way, the others wait for their turn.

    A call raises OSError when there is no answer, and TimeoutError, which is one, when it takes too long.
    """

    def __init__(self, base: str, headers: Mapping[str, str], timeout_s: float, sign: Sign | None = None) -> None:
        url = urlsplit(base)
        self._host, self._is_secure = url.hostname or "", url.scheme == "https"
        self._port = url.port or (443 if self._is_secure else 80)
        self._path = url.path.rstrip("/")
        self._headers = {"Host": url.netloc, **headers}
        if unfit := [name for name, value in self._headers.items() if not (value.isascii() and value.isprintable())]:
            raise UsageError(f"{unfit[0]}: what an HTTP header may not hold; expected printable ASCII")
        self._timeout_s = timeout_s
        self._sign = sign
        self._turns = asyncio.Semaphore(MAX_CONNECTIONS)
        self._idle: list[Connection] = []
        self._sweeper: asyncio.TimerHandle | None = None
        self._tls: ssl.SSLContext | None = None

    async def call(self, method: str, path: str, body: bytes = b"", content_type: str = "") -> Response:
        """Send a request and take its answer, whatever it says."""
        headers = self.headers(method, path, body, content_type)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"{method} {self._path}{path} HTTP/1.1\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
        async with self._turns, asyncio.timeout(self._timeout_s):
            connection = self._kept() or await self._connect()
            try:
                response = await connection.exchange(head.encode() + body)
            except BaseException:
                connection.close()
                raise
        if connection.is_open:
            self._keep(connection)
        return response

    def headers(self, method: str, path: str, body: bytes = b"", content_type: str = "") -> Mapping[str, str]:
        """Give what such a request says of itself, signed at this moment if calls are signed."""
        headers = {**self._headers, "Content-Type": content_type} if content_type else self._headers
        return headers if self._sign is None else {**headers, **self._sign(method, self._path + path, headers, body)}

    def close(self) -> None:
        """Close the connections that nobody uses."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    def _kept(self) -> "Connection | None":
        """The connection that was used last, if it is still good."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        return None

    def _keep(self, connection: "Connection") -> None:
        self._idle.append(connection)
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(KEPT_S / 2, self._sweep)

    def _sweep(self) -> None:
        """Close what was idle for too long: the server should not wait for calls that do not come."""
        loop = asyncio.get_running_loop()
        too_old = loop.time() - KEPT_S
        for connection in self._idle:
            if connection.used_at <= too_old:
                connection.close()
        self._idle = [connection for connection in self._idle if connection.is_open]
        self._sweeper = loop.call_later(KEPT_S / 2, self._sweep) if self._idle else None

    async def _connect(self) -> "Connection":
        if self._is_secure and self._tls is None:
            self._tls = ssl.create_default_context()
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Connection, self._host, self._port, ssl=self._tls)
        return connection


class Connection(asyncio.Protocol):
    """One connection, one exchange at a time. The parser calls the `on_` methods."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Response] | None = None
        self.used_at = 0.0

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def exchange(self, request: bytes) -> asyncio.Future[Response]:
        assert self._transport is not None, "a connection is used once it is there"
        self._answer = self._loop.create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""
        self._is_framed = self._ends_with_the_connection = False
        self._transport.write(request)
        return self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class derives from nothing

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            self.close()  # nobody asked
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"the answer is no HTTP: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._answer is None:
            return
        if exc is None and self._ends_with_the_connection:
            self.on_message_complete()
        else:
            self._fail(str(exc) if exc else "the connection was closed before the answer")

    # -- the parser

    def on_header(self, name: bytes, _value: bytes) -> None:
        if name.lower() in (b"content-length", b"transfer-encoding"):
            self._is_framed = True

    def on_headers_complete(self) -> None:
        self._ends_with_the_connection = not self._is_framed

    def on_body(self, part: bytes) -> None:
        self._body += part

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() < HTTPStatus.OK:
            return  # an interim answer; the real one follows
        answer, self._answer = self._answer, None
        self.used_at = self._loop.time()
        if not self._parser.should_keep_alive():
            self.close()
        if answer is not None and not answer.done():
            answer.set_result(Response(self._parser.get_status_code(), self._body))

    def _fail(self, reason: str) -> None:
        answer, self._answer = self._answer, None
        self.close()
        if answer is not None and not answer.done():
            answer.set_exception(ConnectionError(reason))
