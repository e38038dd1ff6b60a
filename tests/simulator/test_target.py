"""Whose platform it is: asked before anything is sent, and never guessed."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from simulator.errors import KeyturnError, PlatformUnreachable, UsageError
from simulator.scenario.model import Platform
from simulator.target import open_target


class Stranger:
    """A server that is not ours; it answers everything in the same way, and remembers what it was sent."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.status = 200
        self.body: object = {"secret": "abcdefgh1"}

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.method, request.path))
        return web.json_response(self.body, status=self.status)


@pytest.fixture
async def stranger() -> AsyncIterator[tuple[Stranger, str]]:
    server, app = Stranger(), web.Application()
    app.router.add_route("*", "/{anything:.*}", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield server, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def opened(api: str, folder: Path, *, owned: bool = False, mqtt: str | None = None) -> bool:
    async with open_target(Platform(kind="remote", api=api, mqtt=mqtt), folder, owned=owned) as target:
        return target.ours


async def test_server_that_says_yes_to_everything_is_not_ours(stranger: tuple[Stranger, str], tmp_path: Path) -> None:
    server, api = stranger
    with pytest.raises(UsageError, match="--i-own-this-fleet"):
        await opened(api, tmp_path)
    assert server.asked == [("GET", "/_platform")]


async def test_owner_may_go_on_when_the_mqtt_address_is_given(stranger: tuple[Stranger, str], tmp_path: Path) -> None:
    _, api = stranger
    assert not await opened(api, tmp_path, owned=True, mqtt="mqtt://127.0.0.1:1883")
    with pytest.raises(UsageError, match=r"give platform\.mqtt"):
        await opened(api, tmp_path, owned=True)


@pytest.mark.parametrize("status", [401, 403])
async def test_caller_who_is_not_let_in_hears_of_the_token_and_not_of_the_guard(
    stranger: tuple[Stranger, str], tmp_path: Path, status: int
) -> None:
    server, api = stranger
    server.status = status
    with pytest.raises(UsageError, match="token") as raised:
        await opened(api, tmp_path)
    assert "own-this-fleet" not in str(raised.value)


async def test_broken_server_is_unreachable(stranger: tuple[Stranger, str], tmp_path: Path) -> None:
    server, api = stranger
    server.status = 503
    with pytest.raises(KeyturnError) as raised:
        await opened(api, tmp_path)
    assert isinstance(raised.value, PlatformUnreachable)
