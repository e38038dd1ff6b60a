"""Connecting to a broker, over each kind of connection that there is."""

import asyncio
import contextlib
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import uvloop

from broker.certificates import made_in, server_context
from broker.engines.address import EngineAddress
from broker.engines.dial import PROBE_AFTER_S, dial_of
from broker.errors import SettingsError
from tests.broker.rig import connect, running
from tests.support.mqtt_server import accepting, scripted_server
from tests.support.ports import unused_port
from tests.support.tls import VALID_AT

TIMEOUT_S = 20.0


class Caller(asyncio.Protocol):
    def __init__(self) -> None:
        self.transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport


@contextlib.asynccontextmanager
async def dialled(url: str) -> AsyncIterator[socket.socket]:
    """The socket of a connection to a broker."""
    caller = Caller()
    await (await dial_of(EngineAddress.parse(url), TIMEOUT_S))(lambda: caller)
    assert caller.transport is not None
    yield caller.transport.get_extra_info("socket")
    caller.transport.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    """One with a short name: that of a socket may be 107 bytes long."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


async def test_tcp_connection_finds_out_when_the_brokers_machine_is_gone() -> None:
    async with scripted_server(accepting) as server, dialled(f"mqtt://localhost:{server.port}") as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == PROBE_AFTER_S


async def test_broker_that_is_not_there_is_an_error(folder: Path) -> None:
    for url in (f"mqtt://127.0.0.1:{unused_port()}", f"unix:{folder}/none"):
        with pytest.raises(OSError, match=r"Connect call failed|Connection refused|No such file"):
            async with dialled(url):
                pass


async def test_broker_that_takes_no_connection_is_waited_for_no_longer_than_asked() -> None:
    """A queue of one that is full: the kernel lets the next one knock."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for sock in (first, second):
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        dial = await dial_of(EngineAddress.parse(f"mqtt://127.0.0.1:{listener.getsockname()[1]}"), 0.2)
        with pytest.raises(TimeoutError):
            await dial(Caller)


async def test_name_that_is_nobodys_is_found_out_at_the_start() -> None:
    with pytest.raises(SettingsError, match=r"'nobody\.invalid' cannot be resolved"):
        await dial_of(EngineAddress.parse("mqtt://nobody.invalid"), TIMEOUT_S)


async def dial_into_a_full_backlog(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(str(path))
        listener.listen(0)
        first.connect(str(path))
        dial = await dial_of(EngineAddress.parse(f"unix:{path}"), TIMEOUT_S)
        with pytest.raises(BlockingIOError):
            await dial(Caller)


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_full_backlog_of_a_unix_socket_is_told_from_a_connection(folder: Path, loop: object) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:  # type: ignore[arg-type]
        runner.run(dial_into_a_full_backlog(folder / "full"))


async def test_sessions_are_relayed_over_tls_to_who_has_the_right_certificate(tmp_path: Path) -> None:
    ca, certificate, key = made_in(tmp_path, "127.0.0.1", VALID_AT)
    async with scripted_server(accepting, context=server_context(certificate, key)) as server:
        url = f"mqtts://127.0.0.1:{server.port}"
        async with running(tmp_path, engine=EngineAddress.parse(url, ca=ca), stuck_s=0.02, linger_s=0.2) as rig:
            await rig.provision("d1")
            async with await rig.login():
                assert len(server.peers[0].packets) == 1


async def test_broker_with_the_wrong_certificate_is_not_had(tmp_path: Path) -> None:
    _, certificate, key = made_in(tmp_path, "127.0.0.1", VALID_AT)
    async with scripted_server(accepting, context=server_context(certificate, key)) as server:
        url = f"mqtts://127.0.0.1:{server.port}"
        async with running(tmp_path, engine=EngineAddress.parse(url), stuck_s=0.02, linger_s=0.2) as rig:
            await rig.provision("d1")
            assert await rig.refusal(connect()) == 3
            (record,) = rig.records("refused")
            assert record["reason"] == "engine_unavailable"
            assert "certificate verify failed" in record["detail"]
