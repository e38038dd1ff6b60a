"""An engine that is down, refuses, or says nothing: what the client is told, and what the journal says."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from broker.engines.address import EngineAddress
from tests.broker.engines.stage import (
    engines,
    subscribe,
)
from tests.broker.rig import BOTH_VERSIONS, SECONDARY, Rig, connect, running
from tests.support.descriptors import open_sockets
from tests.support.mqtt_server import Peer, Script, accepting, scripted_server, silent
from tests.support.ports import unanswering_port, unused_port
from tests.support.waiting import until
from wire.mqtt import ConnAck, Connect, Disconnect, Properties, PubAck, Publish, Subscribe

SOON: dict[str, Any] = {"engine_timeout_s": 0.3, "sweep_s": 0.01, "linger_s": 0.2, "stuck_s": 0.02}
UNAVAILABLE = {4: 3, 5: 0x88}


@asynccontextmanager
async def relaying(folder: Path, url: str, **settings: Any) -> AsyncIterator[Rig]:
    async with running(folder, engine=EngineAddress.parse(url), **{**SOON, **settings}) as rig:
        await rig.provision("d1", "d2")
        yield rig


@asynccontextmanager
async def scripted(folder: Path, *scripts: Script, **settings: Any) -> AsyncIterator[tuple[Rig, list[Peer]]]:
    """A platform with an engine that does what the scripts say, one for each session."""
    async with (
        scripted_server(*scripts) as server,
        relaying(folder, f"mqtt://127.0.0.1:{server.port}", **settings) as rig,
    ):
        yield rig, server.peers


def told(rig: Rig) -> list[tuple[str, str | None]]:
    return [(one["state"], one.get("detail")) for one in rig.records("engine")]


def refusals(rig: Rig) -> list[tuple[str, int, str | None]]:
    return [(one["reason"], one["code"], one.get("detail")) for one in rig.records("refused")]


async def refusing(peer: Peer) -> None:
    """Refuse the gate's own credentials."""
    await peer.take(Connect)
    await peer.send(ConnAck(5 if peer.packets[0].level == 4 else 0x87))  # type: ignore[union-attr]


async def closing(peer: Peer) -> None:
    await peer.take(Connect)
    peer.finish()


async def resetting(peer: Peer) -> None:
    await peer.take(Connect)
    peer.reset()


async def babbling(peer: Peer) -> None:
    await peer.take(Connect)
    await peer.send_bytes(b"\x20" + b"\xff" * 5)


@BOTH_VERSIONS
async def test_engine_that_is_down_refuses_as_unavailable_and_is_told_once(tmp_path: Path, level: int) -> None:
    async with relaying(tmp_path, f"mqtt://127.0.0.1:{unused_port()}") as rig:
        for _ in range(3):
            assert await rig.refusal(connect(level=level)) == UNAVAILABLE[level]
        assert [one[:2] for one in refusals(rig)] == [("engine_unavailable", UNAVAILABLE[level])] * 3
        assert [state for state, _ in told(rig)] == ["down"]
        assert await rig.sessions() == {}


async def test_socket_that_is_not_there_refuses_as_unavailable(tmp_path: Path) -> None:
    async with relaying(tmp_path, f"unix:{tmp_path}/nobody.sock") as rig:
        assert await rig.refusal(connect()) == 3
        assert refusals(rig) == [("engine_unavailable", 3, "No such file or directory")]


@BOTH_VERSIONS
async def test_engine_that_refuses_our_credentials_is_told_in_the_journal_alone(tmp_path: Path, level: int) -> None:
    async with scripted(tmp_path, refusing) as (rig, _):
        assert await rig.refusal(connect(level=level)) == UNAVAILABLE[level]
        detail = "CONNACK 0x87" if level == 5 else "CONNACK 0x05"
        assert refusals(rig) == [("engine_refused", UNAVAILABLE[level], detail)]
        assert told(rig) == [], "it is there"


@pytest.mark.parametrize(
    ("script", "detail"),
    [(closing, "closed"), (resetting, "[Errno 104] Connection reset by peer"), (babbling, "protocol error: ")],
)
async def test_engine_that_ends_the_connection_instead_of_an_answer(
    tmp_path: Path, script: Script, detail: str
) -> None:
    async with scripted(tmp_path, script) as (rig, _):
        assert await rig.refusal(connect()) == 3
        ((reason, code, said),) = refusals(rig)
        assert (reason, code) == ("engine_unavailable", 3)
        assert said is not None
        assert said.startswith(detail)
        assert await rig.sessions() == {}
        assert (await rig.statistics())["internal_errors"] == 0


async def test_engine_that_never_answers_is_given_up(tmp_path: Path) -> None:
    async with scripted(tmp_path, silent) as (rig, peers):
        assert await rig.refusal(connect()) == 3
        assert refusals(rig) == [("engine_unavailable", 3, "no answer in time")]
        await until(peers[0].gone.is_set, "the gate hangs up")


async def test_engine_whose_backlog_is_full_is_given_up(tmp_path: Path) -> None:
    with unanswering_port() as port:
        async with relaying(tmp_path, f"mqtt://127.0.0.1:{port}") as rig:
            assert await rig.refusal(connect()) == 3
            assert refusals(rig) == [("engine_unavailable", 3, "no answer in time")]


class Slow:
    """A script that accepts when it may."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.may = asyncio.Event()

    async def __call__(self, peer: Peer) -> None:
        await peer.take(Connect)
        self.asked.set()
        await self.may.wait()
        await peer.send(ConnAck(0))


async def test_what_a_client_says_while_the_engine_is_slow_is_served_then(tmp_path: Path) -> None:
    slow = Slow()
    async with scripted(tmp_path, slow, engine_timeout_s=5.0) as (rig, peers), await rig.client() as client:
        up = Publish("$oc/devices/d1/sys/messages/up", b'{"seq": 1}', 1, 1)
        client.send(connect(), up, Publish("talk", b"x" * 100_000), Subscribe(2, (("$oc/devices/d1/#", 1),)))
        await slow.asked.wait()
        assert rig.records("uplink") == []
        slow.may.set()
        assert isinstance(await client.receive(), ConnAck)
        assert await client.receive() == PubAck(1)
        assert (await client.receive()).codes == (1,)  # type: ignore[union-attr]
        await until(lambda: len(peers[0].packets) == 2, "the message goes on")
        assert isinstance(peers[0].packets[1], Publish)


async def test_client_that_goes_while_the_engine_is_asked_leaves_nothing(tmp_path: Path) -> None:
    async with scripted(tmp_path, silent, engine_timeout_s=5.0) as (rig, peers):
        await rig.statistics()
        tasks, before = asyncio.all_tasks(), open_sockets()
        async with await rig.client() as client:
            client.send(connect())
            await until(lambda: peers and peers[0].packets, "the engine is asked")
        await rig.record("peer_closed", reason="connection_lost")
        await until(peers[0].gone.is_set, "the gate hangs up")
        await until(lambda: open_sockets() <= before, "no socket is left")
        await until(lambda: asyncio.all_tasks() <= tasks, "no task is left")
        assert await rig.sessions() == {}
        assert rig.records("accepted") == []


Cut = Callable[[Rig], Awaitable[object]]
CUTS: list[tuple[str, Cut]] = [
    ("forced_reset", lambda rig: rig.reset(force_disconnect=True)),
    ("deleted", lambda rig: rig.call("DELETE", "/v5/iot/p/devices/d1")),
    ("frozen", lambda rig: rig.call("POST", "/v5/iot/p/devices/d1/freeze")),
]


@pytest.mark.parametrize(("reason", "cut"), CUTS, ids=[reason for reason, _ in CUTS])
async def test_session_that_arrives_while_its_device_is_cut_does_not_come_in(
    tmp_path: Path, reason: str, cut: Cut
) -> None:
    slow = Slow()
    async with scripted(tmp_path, slow, accepting, engine_timeout_s=5.0) as (rig, _), await rig.client() as client:
        client.send(connect())
        await slow.asked.wait()
        await cut(rig)
        slow.may.set()
        assert await client.rest() == []
        assert rig.records("accepted") == []
        assert [one["reason"] for one in rig.records("peer_closed")] == [reason]
        if reason == "forced_reset":
            async with await rig.login(connect(secret=SECONDARY)) as later:
                await subscribe(later, ("$oc/devices/d1/#", 1))


async def test_session_that_arrives_is_taken_over_by_the_next_one(tmp_path: Path) -> None:
    slow = Slow()
    async with scripted(tmp_path, slow, accepting, engine_timeout_s=5.0) as (rig, _), await rig.client() as first:
        first.send(connect())
        await slow.asked.wait()
        async with await rig.login() as second:
            slow.may.set()
            assert await first.rest() == []
            await subscribe(second, ("$oc/devices/d1/#", 1))
        assert len(rig.records("accepted")) == 1


async def test_goodbye_of_a_client_is_passed_on(tmp_path: Path) -> None:
    async with scripted(tmp_path, accepting) as (rig, peers):
        async with await rig.login() as client:
            client.send(Publish("talk", b"x"), Disconnect())
            assert await client.rest() == []
        await until(peers[0].gone.is_set, "the gate hangs up")
        assert [type(one) for one in peers[0].packets] == [Connect, Publish, Disconnect]


async def test_engine_never_sees_a_secret_or_the_hour(tmp_path: Path) -> None:
    async with scripted(tmp_path, accepting) as (rig, peers):
        async with await rig.login(connect(level=5, properties=Properties(session_expiry_interval=60))):
            greeting = peers[0].packets[0]
        async with await rig.login(connect("d2", level=3)):
            assert peers[1].packets[0] == Connect("d2", None, None, keepalive=0)
    assert isinstance(greeting, Connect)
    assert (greeting.client_id, greeting.username, greeting.password) == ("d1", None, None)
    assert greeting.properties == Properties(session_expiry_interval=60)


@engines("mosquitto-unix", "amqtt")
async def test_storm_on_a_short_backlog_refuses_nobody(rig: Rig) -> None:
    """A mosquitto takes 100 at a time from its socket, and what is more is turned away by the machine."""
    names = [f"s{number}" for number in range(300)]
    await rig.provision(*names)
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(await rig.client()) for _ in names]
        for client, name in zip(clients, names, strict=True):
            client.send(connect(name))
        answers = [await client.receive() for client in clients]
        assert {answer.code for answer in answers} == {0}  # type: ignore[union-attr]
        assert len(await rig.sessions()) == len(names)
