"""The TLS port: who comes in, what the journal says of who does not, and that a cut is as final there."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from broker.access.tls import TlsChannel, TlsFailed
from tests.broker.rig import DEADLINE_S, PRIMARY, Client, Rig, connect, running
from tests.support.tls import contexts
from wire.mqtt import ConnAck, Disconnect, PubAck, Publish, ReasonCode


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running(tmp_path, mqtts_port=0, connect_timeout_s=0.5, sweep_s=0.05) as rig:
        await rig.provision("d1", secure_access=True)
        await rig.provision("d2")
        yield rig


def port(rig: Rig) -> int:
    return rig.platform.more_ports["mqtts"]


def trusting(rig: Rig) -> ssl.SSLContext:
    assert rig.platform.ca is not None
    return ssl.create_default_context(cafile=rig.platform.ca)


@asynccontextmanager
async def secure_client(rig: Rig, context: ssl.SSLContext | None = None) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port(rig), ssl=context or trusting(rig))
    async with Client(reader, writer) as client:
        yield client


async def test_device_comes_in_over_tls_and_is_heard(rig: Rig) -> None:
    async with secure_client(rig) as client:
        client.send(connect("d1"))
        assert await client.receive() == ConnAck(0)
        client.send(Publish("$oc/devices/d1/sys/messages/up", b"{}", qos=1, packet_id=1))
        assert await client.receive() == PubAck(1)


async def test_device_with_secure_access_is_refused_in_the_clear_alone(rig: Rig) -> None:
    assert await rig.refusal(connect("d1")) == 5
    assert rig.records("refused")[-1]["reason"] == "secure_access_required"
    async with secure_client(rig) as client:
        client.send(connect("d2"))
        assert await client.receive() == ConnAck(0), "who need not may"


async def test_large_payload_comes_whole(rig: Rig) -> None:
    async with secure_client(rig) as client:
        client.send(connect("d1"))
        await client.receive()
        client.send(Publish("$oc/devices/d1/sys/messages/up", bytes(300_000), qos=1, packet_id=1))
        assert await client.receive() == PubAck(1)


async def test_forced_reset_cuts_with_a_last_word_and_a_clean_end(rig: Rig) -> None:
    async with secure_client(rig) as client:
        client.send(connect("d1", level=5))
        assert isinstance(await client.receive(), ConnAck)
        answer = await rig.reset("d1", secret="abcdefgh1234", force_disconnect=True)
        assert answer.status == 200
        assert await rig.sessions() == {}
        assert await client.farewell() == ReasonCode.ADMINISTRATIVE_ACTION


async def test_refused_login_hears_why(rig: Rig) -> None:
    async with secure_client(rig) as client:
        client.send(connect("d1", secret="wrong-secret"))
        assert await client.rest() == [ConnAck(4)]


async def test_plain_mqtt_and_http_on_the_tls_port_are_told_in_the_journal(rig: Rig) -> None:
    for first in (connect("d1").encode(), b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 40):
        reader, writer = await asyncio.open_connection("127.0.0.1", port(rig))
        writer.write(first)
        async with asyncio.timeout(DEADLINE_S):
            await reader.read()
        writer.close()
    assert [one["reason"] for one in rig.records("tls_failed")] == ["not_tls"] * 3
    assert rig.records("refused") == []
    assert (await rig.statistics())["internal_errors"] == 0


async def test_client_that_does_not_trust_us_is_told_in_the_journal(rig: Rig) -> None:
    def connect_and_say_why_not() -> None:
        with socket.create_connection(("127.0.0.1", port(rig))) as plain:
            contexts()[1].wrap_socket(plain, server_hostname="127.0.0.1")

    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.to_thread(connect_and_say_why_not)
    assert (await rig.record("tls_failed"))["reason"] == "client_does_not_trust_us"


async def test_client_that_leaves_during_the_handshake_is_told_in_the_journal(rig: Rig) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port(rig))
    writer.write(b"\x16\x03\x01")
    writer.close()
    assert (await rig.record("tls_failed"))["reason"] == "closed_by_the_client"


async def test_client_of_tls_1_1_is_told_in_the_journal(rig: Rig) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        await asyncio.open_connection("127.0.0.1", port(rig), ssl=old)
    assert (await rig.record("tls_failed"))["reason"] == "tls_version_too_low"


async def test_handshake_that_is_never_finished_ends_in_time(rig: Rig) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port(rig))
    async with asyncio.timeout(DEADLINE_S):
        assert await reader.read() == b""
    writer.close()
    assert (await rig.record("peer_closed"))["reason"] == "connect_timeout"


async def test_garbage_after_the_handshake_ends_that_client_alone(rig: Rig) -> None:
    async with secure_client(rig) as other:
        other.send(connect("d2"))
        assert await other.receive() == ConnAck(0)
        async with secure_client(rig) as client:
            client.writer.write(b"\xff" * 100)
            assert await client.rest() == []
        other.send(Publish("$oc/devices/d2/sys/messages/up", b"{}", qos=1, packet_id=1))
        assert await other.receive() == PubAck(1)


async def test_goodbye_of_a_client_is_the_end_of_its_session(rig: Rig) -> None:
    async with secure_client(rig) as client:
        client.send(connect("d1"))
        await client.receive()
        client.send(Disconnect())
        await client.rest()
    assert (await rig.record("detached"))["reason"] == "client_disconnect"


async def test_certificate_may_be_given(rig: Rig, tmp_path: Path) -> None:
    assert rig.platform.ca is not None
    folder = rig.platform.ca.parent
    given = tmp_path / "given"
    given.mkdir()
    for name in ("server.pem", "server.key"):
        (given / name).write_bytes((folder / name).read_bytes())
    ours = {"tls_certificate": given / "server.pem", "tls_key": given / "server.key"}
    (tmp_path / "second").mkdir()
    async with running(tmp_path / "second", mqtts_port=0, **ours) as second:
        assert second.platform.ca is None
        assert (await second.call("GET", "/_platform")).body["ca"] is None
        await second.provision("d1")
        async with secure_client(second, trusting(rig)) as client:
            client.send(connect("d1", PRIMARY))
            assert await client.receive() == ConnAck(0)


async def test_platform_tells_where_it_is_and_who_vouches_for_it(rig: Rig) -> None:
    about = (await rig.call("GET", "/_platform")).body
    assert about["mqtts"] == {"host": "127.0.0.1", "port": port(rig)}
    assert about["ca"].startswith("-----BEGIN CERTIFICATE-----")


def test_channel_takes_any_bytes() -> None:
    for data in (b"\x16\x03\x01\x00\x00", b"\x16\x03\x03\x40\x01" + bytes(40), b"\x15\x03\x03\x00\x02\x02\x28"):
        channel = TlsChannel(contexts()[0])
        with contextlib.suppress(TlsFailed):
            assert channel.receive(data) == b""
        assert channel.encrypt(b"x") == channel.goodbye() == b"" or not channel.is_open


async def test_who_goes_on_in_the_clear_after_the_handshake_failed_is_told_once(
    rig: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port(rig))
    for _ in range(5):
        writer.write(connect("d1").encode())
        await rig.statistics()
    await rig.record("tls_failed")
    assert (await rig.statistics())["internal_errors"] == 0
    assert len(rig.records("tls_failed")) == 1
    assert capsys.readouterr().err == ""
    writer.close()


async def test_last_words_before_a_goodbye_of_tls_are_heard_and_the_session_is_over(rig: Rig) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port(rig))
    context, incoming, outgoing = trusting(rig), ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")

    async def exchange(act: Callable[[], object]) -> None:
        while True:
            try:
                act()
            except ssl.SSLWantReadError:
                writer.write(outgoing.read())
                incoming.write(await reader.read(65_536))
            else:
                writer.write(outgoing.read())
                return

    async with asyncio.timeout(DEADLINE_S):
        await exchange(tls.do_handshake)
        tls.write(connect("d1").encode())
        await exchange(lambda: tls.read(1024))
        assert "d1" in await rig.sessions()
        tls.write(Publish("$oc/devices/d1/sys/messages/up", b'{"seq": 1}', qos=1, packet_id=1).encode())
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.unwrap()
        writer.write(outgoing.read())
        assert (await rig.record("detached"))["reason"] == "connection_lost"
        incoming.write(await reader.read())
        assert tls.read(1024) == PubAck(1).encode()
        with pytest.raises(ssl.SSLZeroReturnError):  # a goodbye, and no broken end
            tls.read(1024)
    assert rig.records("uplink")[0]["device"] == "d1"
    writer.close()
