"""CoAP and DTLS judged by libcoap (on OpenSSL and on GnuTLS), OpenSSL, GnuTLS and aiocoap, with good and bad keys."""

import asyncio
import contextlib
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiocoap
import pytest

from tests.support.coaps import Device, device, echo
from tests.support.ports import unused_udp_port
from wire.coap import Response
from wire.dtls import End, Ended

pytestmark = pytest.mark.peer

IDENTITY, KEY, WRONG = b"868333030000001", b"0123456789abcdef", b"another--key-123"
KEYS = {IDENTITY: KEY}
PATIENCE_S = 20.0

LIBCOAPS = pytest.mark.parametrize("built_on", ["openssl", "gnutls"])
SUITES = pytest.mark.parametrize("suite", ["PSK-AES128-CCM8", "PSK-AES128-CBC-SHA256"])


def program(name: str) -> str:
    found = shutil.which(name)
    assert found, f"{name} is missing (Debian: apt-get install libcoap3-bin gnutls-bin openssl)"
    return found


async def run(*command: str, say: bytes = b"", until: bytes = b"") -> str:
    """Run a program until it ends, or until it has printed what is waited for; return what it printed."""
    process = await asyncio.create_subprocess_exec(
        program(command[0]),
        *command[1:],
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(say)
    printed = b""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while chunk := await process.stdout.read(4096):
                printed += chunk
                if until and until in printed:
                    break
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    return printed.decode(errors="replace")


@asynccontextmanager
async def serving(*command: str) -> AsyncIterator[None]:
    """Run a server that says nothing of being ready: whoever connects tries until it answers."""
    process = await asyncio.create_subprocess_exec(
        program(command[0]),
        *command[1:],
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@asynccontextmanager
async def settled(port: int, key: bytes) -> AsyncIterator[Device]:
    """Connect to a server until it has said yes or no; one that is not there yet says nothing."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            async with device(port, IDENTITY, key) as one:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1.5):
                        await one.settled.wait()
                    yield one
                    return


async def libcoap(built_on: str, port: int, key: bytes, identity: bytes = IDENTITY) -> str:
    url = f"coaps://127.0.0.1:{port}/rd"
    client = f"coap-client-{built_on}"
    return await run(client, "-B", "3", "-m", "get", "-u", identity.decode(), "-k", key.decode(), url)


@LIBCOAPS
async def test_libcoap_gets_an_answer_over_dtls(built_on: str) -> None:
    async with echo(KEYS.get) as (_, port):
        assert f"rd for {IDENTITY.decode()}" in await libcoap(built_on, port, KEY)


@LIBCOAPS
async def test_libcoap_with_the_wrong_key_is_refused_at_once(built_on: str) -> None:
    async with echo(KEYS.get) as (server, port):
        assert "rd for" not in await libcoap(built_on, port, WRONG)
    assert server.events[0].session.end is End.WRONG_KEY


@LIBCOAPS
async def test_libcoap_with_an_unknown_identity_is_refused(built_on: str) -> None:
    async with echo(KEYS.get) as (server, port):
        assert "rd for" not in await libcoap(built_on, port, KEY, b"nobody")
    assert server.events[0].session.end is End.UNKNOWN_IDENTITY


async def test_libcoap_gets_an_answer_in_the_clear() -> None:
    async with echo() as (_, port):
        printed = await run("coap-client-notls", "-B", "3", "-m", "get", f"coap://127.0.0.1:{port}/a/b")
    assert "a/b for" in printed


@SUITES
async def test_openssl_opens_a_session_with_each_suite(suite: str) -> None:
    async with echo(KEYS.get) as (server, port):
        printed = await s_client(port, KEY, suite)
    assert f"Cipher    : {suite}" in printed or f"Cipher is {suite}" in printed
    assert server.events[0].session.is_open


async def test_openssl_with_the_wrong_key_is_told_by_an_alert() -> None:
    async with echo(KEYS.get) as (server, port):
        printed = await s_client(port, WRONG, "PSK-AES128-CCM8", until=b"alert")
    assert "alert bad record mac" in printed
    assert server.events[0].session.end is End.WRONG_KEY


async def test_client_is_given_nothing_to_resume_with_so_that_every_handshake_proves_the_key() -> None:
    async with echo(KEYS.get) as (_, port):
        printed = await s_client(port, KEY, "PSK-AES128-CCM8")
    assert re.search(r"Session-ID: *\n", printed), "a session in the server's cache"
    assert "session ticket" not in printed


async def s_client(port: int, key: bytes, suite: str, until: bytes = b"Verify return code") -> str:
    return await run(
        *("openssl", "s_client", "-dtls1_2", "-connect", f"127.0.0.1:{port}", "-psk_identity", IDENTITY.decode()),
        *("-psk", key.hex(), "-cipher", f"{suite}:@SECLEVEL=0"),
        until=until,
    )


@pytest.mark.parametrize(("key", "is_open"), [(KEY, True), (WRONG, False)])
async def test_gnutls_client_opens_a_session_with_the_right_key_only(key: bytes, is_open: bool) -> None:
    async with echo(KEYS.get) as (server, port):
        printed = await run(
            *("gnutls-cli", "--udp", "-p", str(port), "127.0.0.1", "--pskusername", IDENTITY.decode()),
            *("--pskkey", key.hex(), "--priority", "NORMAL:-KX-ALL:+PSK:-VERS-ALL:+VERS-DTLS1.2:+AES-128-CCM-8"),
            until=b"Handshake was completed" if is_open else b"rror",
        )
    assert ("Handshake was completed" in printed) is is_open
    assert server.events[0].session.is_open is is_open


@LIBCOAPS
async def test_our_client_gets_an_answer_from_libcoap(built_on: str) -> None:
    port = unused_udp_port()
    async with libcoap_server(built_on, port), settled(port, KEY) as one:
        assert one.session.is_open
        (answer,) = await one.ask("time")
    assert isinstance(answer, Response)
    assert answer.message.code.is_successful()


@LIBCOAPS
async def test_our_client_does_not_get_in_at_libcoap_with_the_wrong_key(built_on: str) -> None:
    """Its libraries drop what they cannot read in silence: a wrong key looks like nobody there."""
    port = unused_udp_port()
    async with libcoap_server(built_on, port):
        async with settled(port, KEY):
            pass
        async with device(port, IDENTITY, WRONG) as one:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.5):
                    await one.settled.wait()
            assert not one.session.is_open


@asynccontextmanager
async def libcoap_server(built_on: str, port: int) -> AsyncIterator[None]:
    """It listens in the clear at `-p`, and over DTLS one port above."""
    async with serving(f"coap-server-{built_on}", "-A", "127.0.0.1", "-p", str(port - 1), "-k", KEY.decode()):
        yield


@SUITES
async def test_our_client_opens_a_session_with_openssl(suite: str) -> None:
    port = unused_udp_port()
    async with s_server(port, suite), settled(port, KEY) as one:
        assert one.session.is_open


@asynccontextmanager
async def s_server(port: int, suite: str) -> AsyncIterator[None]:
    async with serving(
        *("openssl", "s_server", "-dtls1_2", "-accept", f"127.0.0.1:{port}", "-nocert", "-quiet"),
        *("-psk_identity", IDENTITY.decode(), "-psk", KEY.hex(), "-cipher", f"{suite}:@SECLEVEL=0"),
    ):
        yield


async def test_our_client_opens_a_session_with_gnutls(tmp_path: Path) -> None:
    port, passwords = unused_udp_port(), tmp_path / "psk.txt"
    passwords.write_text(f"{IDENTITY.decode()}:{KEY.hex()}\n")
    priority = "NORMAL:-KX-ALL:+PSK:-VERS-ALL:+VERS-DTLS1.2:+AES-128-CCM-8"
    command = ("gnutls-serv", "--udp", "--echo", "-p", str(port), "--pskpasswd", str(passwords), "--priority", priority)
    async with serving(*command), settled(port, KEY) as one:
        assert one.session.is_open


async def test_aiocoap_is_answered_by_our_peer_and_answers_it() -> None:
    async with echo() as (_, port):
        context = await aiocoap.Context.create_client_context(transports=["udp6"])
        try:
            request = aiocoap.Message(code=aiocoap.GET, uri=f"coap://127.0.0.1:{port}/x/y")
            async with asyncio.timeout(PATIENCE_S):
                answer = await context.request(request).response
        finally:
            await context.shutdown()
    assert answer.payload == b"x/y for "


async def test_session_that_openssl_ends_is_over_for_us() -> None:
    async with echo(KEYS.get) as (server, port):
        await run(
            *("openssl", "s_client", "-dtls1_2", "-connect", f"127.0.0.1:{port}", "-psk_identity", IDENTITY.decode()),
            *("-psk", KEY.hex(), "-cipher", "PSK-AES128-CCM8:@SECLEVEL=0"),
            say=b"Q\n",
        )
        async with asyncio.timeout(PATIENCE_S):
            while not any(isinstance(event, Ended) for event in server.events):
                await asyncio.sleep(0.01)
        assert server.events[-1].session.end is End.CLOSED
