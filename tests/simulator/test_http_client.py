"""The HTTP client against servers that answer well, late, twice, or not at all."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import pytest

from simulator import http_client as module
from simulator.errors import UsageError
from simulator.http_client import MAX_CONNECTIONS, HttpClient, Response, Sign
from tests.support.ports import unused_port
from tests.support.waiting import turns, until

Script = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Answers each request as its script says; counts connections."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.requests: list[bytes] = []
        self.connections = self.left = 0
        self.at_once = self.most_at_once = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().partition(b"content-length:")[2].split()[0])
                self.requests.append(head + await reader.readexactly(length))
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
                await self._script(self.requests[-1], writer)
                self.at_once -= 1
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.left += 1
            writer.close()


@asynccontextmanager
async def served(
    script: Script, timeout_s: float = 5.0, sign: Sign | None = None
) -> AsyncIterator[tuple[HttpClient, Server]]:
    server = Server(script)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    client = HttpClient(f"http://127.0.0.1:{server.port}/base/", {"X-Auth-Token": "t"}, timeout_s, sign)
    async with listening:
        yield client, server
        client.close()
        await turns()


def says(data: bytes, *, and_closes: bool = False) -> Script:
    async def answer(_request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        if and_closes:
            writer.close()

    return answer


async def test_request_says_what_it_must_and_its_connection_is_used_again() -> None:
    async with served(says(OK)) as (client, server):
        assert await client.call("POST", "/a?b=c", b"{}", "application/json") == Response(200, b"ok")
        assert await client.call("GET", "/d") == Response(200, b"ok")
    head = f"POST /base/a?b=c HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nX-Auth-Token: t\r\n"
    assert server.requests[0].decode() == head + "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    assert b"Content-Type" not in server.requests[1]
    assert server.connections == 1


async def test_signed_request_carries_what_its_signer_gave_for_exactly_this_request() -> None:
    asked: list[tuple[str, str, dict[str, str], bytes]] = []

    def sign(method: str, target: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        asked.append((method, target, dict(headers), body))
        return {"X-Sdk-Date": "now", "Authorization": f"number {len(asked)}"}

    async with served(says(OK), sign=sign) as (client, server):
        await client.call("POST", "/a?b=c", b"{}", "application/json")
        await client.call("GET", "/d")
    host = {"Host": f"127.0.0.1:{server.port}", "X-Auth-Token": "t"}
    assert asked == [
        ("POST", "/base/a?b=c", {**host, "Content-Type": "application/json"}, b"{}"),
        ("GET", "/base/d", host, b""),
    ]
    first, second = (request.decode() for request in server.requests)
    assert "X-Sdk-Date: now\r\nAuthorization: number 1\r\nContent-Length: 2\r\n\r\n{}" in first
    assert "Authorization: number 2\r\n" in second


CHUNKED = b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "closes", "response"),
    [
        (CHUNKED, False, Response(404, b"abcde")),
        (b"HTTP/1.1 204 No Content\r\n\r\n", False, Response(204, b"")),
        (INTERIM + OK, False, Response(200, b"ok")),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", True, Response(200, b"until the end")),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", True, Response(200, b"ok")),
    ],
    ids=["chunked", "no content", "interim answer", "ends with the connection", "HTTP/1.0"],
)
async def test_answer_is_taken_however_it_is_framed(data: bytes, closes: bool, response: Response) -> None:
    async with served(says(data, and_closes=closes)) as (client, _):
        assert await client.call("GET", "/") == response
        assert await client.call("GET", "/") == response


async def test_answer_may_come_byte_by_byte() -> None:
    async def slowly(_request: bytes, writer: asyncio.StreamWriter) -> None:
        for byte in CHUNKED:
            writer.write(bytes((byte,)))
            await turns(1)

    async with served(slowly) as (client, _):
        assert await client.call("GET", "/") == Response(404, b"abcde")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "closed before the answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "closed before the answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", "closed before the answer"),
        (b"SSH-2.0-OpenSSH_9\r\n", "no HTTP"),
    ],
)
async def test_half_an_answer_is_none(data: bytes, problem: str) -> None:
    async with served(says(data, and_closes=True)) as (client, _):
        with pytest.raises(OSError, match=problem):
            await client.call("GET", "/")


async def test_answer_that_comes_too_late_is_none_and_ends_its_connection() -> None:
    async def never(_request: bytes, _writer: asyncio.StreamWriter) -> None: ...

    async with served(never, timeout_s=0.05) as (client, server):
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await client.call("GET", "/")
    assert server.connections == 2


async def test_nobody_there_is_an_error_of_the_system() -> None:
    client = HttpClient(f"http://127.0.0.1:{unused_port()}", {}, 5.0)
    with pytest.raises(ConnectionRefusedError):
        await client.call("GET", "/")


async def test_connection_that_the_server_closed_meanwhile_is_not_used() -> None:
    async with served(says(OK, and_closes=True)) as (client, server):
        for calls in (1, 2):
            assert (await client.call("GET", "/")).status == 200
            await until(lambda: not client._idle or not client._idle[-1].is_open, "the close has arrived")
            assert server.connections == calls


async def test_idle_connection_is_closed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_S", 0.02)
    async with served(says(OK)) as (client, server):
        await client.call("GET", "/")
        await until(lambda: server.left == 1, "the server sees the end")
        assert not client._idle
        await client.call("GET", "/")
    assert server.connections == 2


async def test_connection_that_was_used_just_now_is_kept_when_an_older_one_is_closed() -> None:
    async def after_a_while(_request: bytes, writer: asyncio.StreamWriter) -> None:
        await turns(20)
        writer.write(OK)

    async with served(after_a_while) as (client, server):
        async with asyncio.TaskGroup() as tasks:
            for _ in range(2):
                tasks.create_task(client.call("GET", "/"), name="call")
        older, newer = client._idle
        older.used_at -= module.KEPT_S
        assert client._sweeper
        client._sweeper.cancel()
        client._sweep()
        assert client._idle == [newer]
        await client.call("GET", "/")
    assert server.connections == 2


async def test_calls_share_a_bounded_number_of_connections() -> None:
    async def after_a_while(_request: bytes, writer: asyncio.StreamWriter) -> None:
        await turns(20)
        writer.write(OK)

    async with served(after_a_while) as (client, server), asyncio.TaskGroup() as tasks:
        for _ in range(MAX_CONNECTIONS * 3):
            tasks.create_task(client.call("GET", "/"), name="call")
    assert len(server.requests) == MAX_CONNECTIONS * 3
    assert server.most_at_once <= MAX_CONNECTIONS
    assert server.connections <= MAX_CONNECTIONS


async def test_call_that_was_given_up_leaves_its_connection_to_nobody() -> None:
    async with served(says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")) as (client, server):
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(client.call("GET", "/"), name="call")
            await until(lambda: server.requests, "the request arrives")
            waiting.cancel()
        assert not client._idle


def test_header_that_would_be_two_is_refused() -> None:
    with pytest.raises(UsageError, match="X-Auth-Token"):
        asyncio.run(_client_with("t\r\nX-Evil: 1"))


async def _client_with(token: str) -> HttpClient:
    return HttpClient("http://127.0.0.1:1", {"X-Auth-Token": token}, 1.0)
