"""Whose platform it is: asked before anything is sent, and never guessed."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from simulator.errors import KeyturnError, PlatformUnreachable, UsageError
from simulator.links.link import Endpoint, Endpoints
from simulator.run import Play
from simulator.scenario.model import Platform, Scenario
from simulator.target import Target, open_target
from tests.support.ports import unanswering_port, unused_port


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
    async with open_target(Platform(kind="remote", api=api, mqtt=mqtt), {"mqtt"}, folder, owned=owned) as target:
        return target.ours is not None


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
async def test_caller_who_is_not_let_in_hears_of_token_and_key_and_not_of_the_guard(
    stranger: tuple[Stranger, str], tmp_path: Path, status: int
) -> None:
    server, api = stranger
    server.status = status
    with pytest.raises(UsageError, match="token_env, or its key in access_key_env") as raised:
        await opened(api, tmp_path)
    assert "own-this-fleet" not in str(raised.value)


async def test_broken_server_is_unreachable(stranger: tuple[Stranger, str], tmp_path: Path) -> None:
    server, api = stranger
    server.status = 503
    with pytest.raises(KeyturnError) as raised:
        await opened(api, tmp_path)
    assert isinstance(raised.value, PlatformUnreachable)


DELIVER = {"id": "deliver", "deliver_secret": {"fleet": "meters", "slot": "primary"}}
RESET = {"id": "reset", "reset_secret": {"fleet": "meters", "slot": "primary"}}


async def test_owner_is_told_at_once_what_only_a_keyturn_platform_can_do(
    stranger: tuple[Stranger, str], tmp_path: Path
) -> None:
    server, api = stranger
    plan = Scenario.model_validate(
        {
            "name": "a stranger",
            "platform": {"kind": "remote", "api": api, "mqtt": "mqtt://127.0.0.1:1"},
            "fleets": {"meters": {"count": 1}},
            "timeline": [{"id": "up", "start": ["meters"]}, RESET, DELIVER],
            "expect": ["messages.lost == 0", "stranded == 0"],
        }
    )
    with pytest.raises(UsageError) as raised:
        await Play(plan, tmp_path, owned=True).run()
    because = f"but {api} is not a keyturn platform"
    assert str(raised.value).splitlines() == [
        f"step 'deliver' needs keyturn's own API, {because}",
        f"messages needs the platform's journal, {because}",
    ]
    assert server.asked == [("GET", "/_platform")]


async def test_bare_broker_has_an_address_and_nobody_to_call(tmp_path: Path) -> None:
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as broker:
        port = broker.sockets[0].getsockname()[1]
        platform = Platform(kind="broker-only", mqtt=f"mqtt://127.0.0.1:{port}")
        async with open_target(platform, {"mqtt"}, tmp_path, owned=False) as target:
            assert target == Target(Endpoints(mqtt=Endpoint("127.0.0.1", port, "127.0.0.1")))


@pytest.mark.parametrize(("host", "reason"), [("127.0.0.1", "Connection refused"), ("no.such.host.invalid", "")])
async def test_broker_that_is_not_there_is_unreachable(tmp_path: Path, host: str, reason: str) -> None:
    platform = Platform(kind="broker-only", mqtt=f"mqtt://{host}:{unused_port()}")
    with pytest.raises(PlatformUnreachable, match=f"{host}.*{reason}"):
        async with open_target(platform, {"mqtt"}, tmp_path, owned=False):
            pass


async def test_broker_that_does_not_answer_is_given_up_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulator.target.BROKER_TIMEOUT_S", 0.1)
    with unanswering_port() as port:
        platform = Platform(kind="broker-only", mqtt=f"mqtt://127.0.0.1:{port}")
        with pytest.raises(PlatformUnreachable, match=r"no answer within 0\.1 s"):
            async with open_target(platform, {"mqtt"}, tmp_path, owned=False):
                pass


OURS = {
    "name": "keyturn",
    "mqtt": {"host": "127.0.0.1", "port": 1},
    "mqtts": {"host": "127.0.0.1", "port": 2},
    "coap": None,
    "coaps": {"host": "127.0.0.1", "port": 4},
    "ca": "PEM",
    "journal_records": 0,
}


async def test_keyturn_platform_is_asked_where_it_is_and_who_vouches_for_it(
    stranger: tuple[Stranger, str], tmp_path: Path
) -> None:
    server, api = stranger
    server.body = OURS
    async with open_target(Platform(kind="remote", api=api), {"mqtts", "coaps"}, tmp_path, owned=False) as target:
        found = target.endpoints
    assert found == Endpoints(mqtts=Endpoint("127.0.0.1", 2, "127.0.0.1"), coaps=found.coaps, ca="PEM")
    assert found.coaps == Endpoint("127.0.0.1", 4, "127.0.0.1")


async def test_address_that_the_platform_does_not_serve_is_asked_for(
    stranger: tuple[Stranger, str], tmp_path: Path
) -> None:
    server, api = stranger
    server.body = OURS
    with pytest.raises(UsageError, match=r"the platform tells no address for coap: give platform\.coap"):
        async with open_target(Platform(kind="remote", api=api), {"coap"}, tmp_path, owned=False):
            pass


async def test_authority_of_the_scenario_counts_more_than_the_platforms(
    stranger: tuple[Stranger, str], tmp_path: Path
) -> None:
    server, api = stranger
    server.body = OURS
    (tmp_path / "ca.pem").write_text("mine")
    platform = Platform(kind="remote", api=api, ca=tmp_path / "ca.pem")
    async with open_target(platform, {"mqtts"}, tmp_path, owned=False) as target:
        assert target.endpoints.ca == "mine"
    with pytest.raises(UsageError, match=r"no\.pem: cannot be read as text"):
        async with open_target(
            Platform(kind="remote", api=api, ca=tmp_path / "no.pem"), {"mqtts"}, tmp_path, owned=False
        ):
            pass
