"""What a caller may keep open, and what it is told when it is too much."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from broker.control_api.http_connection import Bounds
from broker.control_api.http_server import HttpServer
from tests.support.waiting import until

DEADLINE_S = 10.0
LONG = 60.0
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
HELD = b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n"


class Served:
    """Serves an application: /held is held back, /waits awaits the end, /long says much."""

    def __init__(self, bounds: Bounds) -> None:
        self.release = asyncio.Event()
        self.disconnects = 0
        self.told: list[str] = []
        self.http = HttpServer(self, (f"r-{number}" for number in count(1)), bounds)
        self.socket = socket.create_server(("127.0.0.1", 0))

    async def connect(self, request: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(*self.socket.getsockname())
        writer.write(request)
        return reader, writer

    async def said(self, request: bytes) -> bytes:
        """Send bytes; return everything that comes until the server closes."""
        reader, writer = await self.connect(request)
        async with asyncio.timeout(DEADLINE_S):
            answer = await reader.read()
        writer.transport.abort()
        return answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await Request(scope, receive).body()
        except ClientDisconnect:
            self.disconnects += 1
            return
        if scope["path"] == "/waits":
            self.told.append((await receive())["type"])
            return
        if scope["path"] == "/held":
            await self.release.wait()
        answer = b"x" * (32 << 20) if scope["path"] == "/long" else b"%d bytes" % len(body)
        await Response(answer)(scope, receive, send)


@asynccontextmanager
async def served(**bounds: float) -> AsyncIterator[Served]:
    server = Served(Bounds(**{"request_s": LONG, "sweep_s": 0.01, **bounds}))  # type: ignore[arg-type]
    await server.http.start(server.socket)
    try:
        yield server
    finally:
        await server.http.stop(0.1)
        server.socket.close()


def refusal(answer: bytes) -> tuple[int, str]:
    """Return the status and the message of an answer that is the vendor's error and nothing else."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"X-Request-Id: r-" in head
    told = json.loads(body)
    assert told.keys() == {"error_code", "error_msg"}
    return int(head.split()[1]), told["error_msg"]


async def test_connection_that_says_nothing_is_closed() -> None:
    async with served(request_s=0.05) as server:
        assert await server.said(b"") == b""


@pytest.mark.parametrize(
    "half",
    [b"G", b"GET / HTTP/1.1\r\nHost: x\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1234"],
    ids=["one byte", "half a head", "half a body"],
)
async def test_request_that_does_not_come_whole_is_told_so(half: bytes) -> None:
    async with served(request_s=0.05) as server:
        status, message = refusal(await server.said(half))
        assert (status, message.rpartition(". ")[2]) == (408, "The request did not come whole in time.")
        assert server.disconnects == (b"POST" in half)


async def test_byte_now_and_then_keeps_no_connection_open() -> None:
    async with served(request_s=0.1) as server:
        reader, writer = await server.connect(b"GET / HTTP/1.1\r\nX-Slow: ")
        answer = asyncio.ensure_future(reader.read())
        async with asyncio.timeout(DEADLINE_S):
            while not answer.done():
                writer.write(b"x")
                await asyncio.wait([answer], timeout=0.01)
        assert refusal(answer.result())[0] == 408
        writer.close()


async def test_request_that_is_being_served_may_take_longer() -> None:
    async with served(request_s=0.05) as server:
        reader, writer = await server.connect(HELD)
        assert await server.said(b"") == b"", "the time that a request may take has passed"
        server.release.set()
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_connection_is_kept_after_an_answer_and_not_for_ever() -> None:
    async with served(keep_alive_s=1) as server:
        reader, writer = await server.connect(GET)
        await reader.readuntil(b"0 bytes")
        writer.write(GET)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        async with asyncio.timeout(DEADLINE_S):
            assert (await reader.read()).endswith(b"0 bytes")
        writer.close()


async def test_those_that_wait_longest_make_room_for_a_caller() -> None:
    async with served(max_waiting=3) as server:
        waiting = [await server.connect(b"G") for _ in range(5)]
        answered = await server.said(GET.replace(b"Host", b"Connection: close\r\nHost"))
        assert answered.startswith(b"HTTP/1.1 200")
        async with asyncio.timeout(DEADLINE_S):
            assert [refusal(await reader.read())[0] for reader, _ in waiting[:3]] == [408] * 3
        assert not any(reader.at_eof() for reader, _ in waiting[3:])
        for _, writer in waiting:
            writer.close()


@pytest.mark.parametrize("line", [b"GET /", b"GET / HTTP/1.1\r\nX-Long: "], ids=["target", "header"])
async def test_head_without_end_is_431(line: bytes) -> None:
    async with served(max_head=1000) as server:
        reader, writer = await server.connect(line)
        answer = asyncio.ensure_future(reader.read())
        async with asyncio.timeout(DEADLINE_S):
            while not answer.done():
                writer.write(b"x" * 100)
                await asyncio.wait([answer], timeout=0.001)
        assert refusal(answer.result())[0] == 431
        writer.close()


async def test_garbage_behind_a_request_does_not_answer_in_its_place() -> None:
    async with served() as server:
        reader, writer = await server.connect(HELD + b"\x00garbage\r\n\r\n")
        await until(lambda: server.http.server_state.tasks, "the request is served")
        server.release.set()
        async with asyncio.timeout(DEADLINE_S):
            answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.count(b"HTTP/1.1") == 1
        writer.close()


async def test_garbage_in_a_body_is_400() -> None:
    async with served() as server:
        chunked = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert refusal(await server.said(chunked + b"2\r\n{}\r\nno size\r\n"))[0] == 400
        await until(lambda: not server.http.server_state.tasks, "the application has noticed")


@pytest.mark.parametrize("header", [b"Host: x", b"Connection: close"])
async def test_caller_that_does_not_read_its_answer_is_cut(header: bytes) -> None:
    async with served(keep_alive_s=1, request_s=1) as server:
        _, writer = await server.connect(GET.replace(b"/", b"/long", 1).replace(b"Host: x", header))
        await until(lambda: server.http.server_state.connections, "the caller is connected")
        await until(lambda: not server.http.server_state.connections, "the caller is cut", DEADLINE_S)
        writer.transport.abort()


async def test_body_without_end_is_not_read_for_ever() -> None:
    async with served(max_request=1 << 20) as server:
        reader, writer = await server.connect(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n")
        answer = asyncio.ensure_future(reader.read())
        async with asyncio.timeout(DEADLINE_S):
            while not answer.done():
                writer.write(b" " * 65_536)
                await asyncio.wait([answer], timeout=0.001)
        assert answer.exception() or answer.result() == b""
        writer.transport.abort()


async def test_caller_that_resets_leaves_no_timer_behind() -> None:
    async with served() as server:
        reader, writer = await server.connect(GET)
        await reader.readuntil(b"0 bytes")
        (connection,) = server.http.server_state.connections
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        await until(lambda: not server.http.server_state.connections, "the connection is gone")
        assert connection.timeout_keep_alive_task is None


async def test_request_with_others_behind_it_learns_that_its_caller_is_gone() -> None:
    async with served() as server:
        _, writer = await server.connect(GET.replace(b"/ ", b"/waits ") + GET)
        await until(lambda: server.http.server_state.tasks, "a request is served")
        writer.transport.abort()
        await until(lambda: server.told, "the request was told")
    assert server.told == ["http.disconnect"]
