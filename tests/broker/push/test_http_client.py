"""One attempt, on real sockets: what it ends in, and where it does not go."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from broker.push.http_client import HttpClient, LoopbackResolver
from broker.push.outcome import Failure, Outcome
from tests.support.receiver import Receiver, receiving


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    client = HttpClient(0.5, anywhere=False)
    yield client
    await client.close()


@pytest.mark.parametrize(
    ("status", "failure", "may_pass"),
    [
        (200, None, False),
        (204, None, False),
        (400, Failure.STATUS, False),
        (404, Failure.STATUS, False),
        (429, Failure.STATUS, True),
        (500, Failure.STATUS, True),
        (503, Failure.STATUS, True),
    ],
)
async def test_status_tells_whether_to_try_again(
    receiver: Receiver, client: HttpClient, status: int, failure: Failure | None, may_pass: bool
) -> None:
    async def answer(_: dict[str, Any]) -> web.Response:
        return web.Response(status=status)

    receiver.answer = answer
    outcome = await client.post(receiver.url, b"{}")
    assert (outcome, outcome.may_pass) == (Outcome(status, failure), may_pass)


async def test_redirect_is_not_followed(receiver: Receiver, client: HttpClient) -> None:
    async def answer(_: dict[str, Any]) -> web.Response:
        return web.Response(status=307, headers={"Location": receiver.url})

    receiver.answer = answer
    outcome = await client.post(receiver.url, b"{}")
    assert (outcome, outcome.may_pass) == (Outcome(307, Failure.STATUS), False)
    assert len(receiver.pushes) == 1


async def test_silent_receiver_is_left_after_the_time_out(receiver: Receiver, client: HttpClient) -> None:
    async def answer(_: dict[str, Any]) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    receiver.answer = answer
    outcome = await client.post(receiver.url, b"{}")
    assert (outcome, outcome.may_pass) == (Outcome(failure=Failure.TIMEOUT), True)


async def test_receiver_that_is_away_or_speaks_no_http_is_unreachable(client: HttpClient) -> None:
    unreachable = Outcome(failure=Failure.UNREACHABLE)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert await client.post(f"http://127.0.0.1:{port}/", b"{}") == unreachable
    assert unreachable.may_pass

    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(babble, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await client.post(f"http://127.0.0.1:{port}/", b"{}") == unreachable


async def test_name_that_leads_elsewhere_is_not_followed(
    client: HttpClient, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a rebinding: `localhost` was a good name when the rule was made."""
    loop = asyncio.get_running_loop()

    async def misled(host: str, port: int, **_: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.7", port))]

    with monkeypatch.context() as patched:
        patched.setattr(loop, "getaddrinfo", misled)
        outcome = await client.post("http://localhost:8099/", b"{}")
    assert (outcome, outcome.may_pass) == (Outcome(failure=Failure.NOT_ALLOWED), False)
    assert (await client.post(f"http://localhost:{receiver.port}/pushes", b"{}")).failure is None


@pytest.mark.parametrize("host", ["192.0.2.7", "[2001:db8::7]", "169.254.169.254"])
async def test_address_of_another_machine_is_not_connected_to(client: HttpClient, host: str) -> None:
    """The last gate: whatever let such a target through."""
    assert await client.post(f"http://{host}/", b"{}") == Outcome(failure=Failure.NOT_ALLOWED)


async def test_of_many_addresses_those_of_this_machine_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    async def mixed(host: str, port: int, **_: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in ("192.0.2.7", "127.0.0.1")]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", mixed)
    assert [one["host"] for one in await LoopbackResolver().resolve("name", 80)] == ["127.0.0.1"]
