"""Handshakes that come to nothing, and why a device says they did."""

import asyncio
import socket
import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from broker.certificates import made_in, server_context
from simulator.device.events import LinkLost, Unreachable
from simulator.links.link import Endpoint, LinkOptions
from simulator.links.native import NativeEngine
from simulator.links.outbox import Outbox
from simulator.links.paho import PahoEngine
from simulator.links.tls import trusting
from simulator.scheduler import Scheduler
from tests.support.link_bench import CREDENTIALS, EngineFactory, link_bench
from tests.support.link_owner import RecordingOwner
from tests.support.mqtt_server import Peer, accepting, scripted_server, silent
from tests.support.ports import unused_port
from tests.support.tls import VALID_AT, OverTls, contexts
from tests.support.waiting import until
from wire.mqtt import PubAck, Publish

ENGINES = pytest.mark.parametrize("engine", [NativeEngine, PahoEngine])


async def why(engine: type, server: ssl.SSLContext | None, client: ssl.SSLContext, name: str = "") -> str:
    """Try to connect; give the reason why nothing came of it."""
    async with scripted_server(accepting, context=server) as listening:
        owner, scheduler = RecordingOwner(1), Scheduler(asyncio.get_running_loop())
        endpoint = Endpoint("127.0.0.1", listening.port, name)
        links = engine(scheduler, endpoint, replace(LinkOptions(), tls=client))
        links.open(owner, 1, CREDENTIALS, Outbox())
        event = await owner.ended()
        await until(lambda: not links.open_links, "the link is gone")
        scheduler.clear()
    assert isinstance(event, Unreachable), event
    return event.reason


def server_of(folder: Path, utc: datetime = VALID_AT) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    ca, certificate, key = made_in(folder, "127.0.0.1", utc)
    return server_context(certificate, key), trusting(ca.read_text())


@ENGINES
async def test_server_that_nobody_vouches_for_is_not_accepted(engine: type, tmp_path: Path) -> None:
    stranger, _ = server_of(tmp_path)
    reason = await why(engine, stranger, contexts()[1])
    assert reason.startswith("the certificate was not accepted: ")


async def test_expired_certificate_is_not_accepted(tmp_path: Path) -> None:
    server, client = server_of(tmp_path, datetime.now(UTC) - timedelta(days=20 * 365))
    assert await why(NativeEngine, server, client) == "the certificate was not accepted: certificate has expired"


async def test_certificate_of_another_name_is_not_accepted() -> None:
    reason = await why(NativeEngine, *contexts(), name="elsewhere.example")
    assert "elsewhere.example" in reason


async def test_server_without_tls_is_told_as_one() -> None:
    async with await asyncio.start_server(
        lambda _, writer: writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "127.0.0.1", 0
    ) as server:
        owner, scheduler = RecordingOwner(1), Scheduler(asyncio.get_running_loop())
        endpoint = Endpoint("127.0.0.1", server.sockets[0].getsockname()[1])
        links = NativeEngine(scheduler, endpoint, replace(LinkOptions(), tls=contexts()[1]))
        links.open(owner, 1, CREDENTIALS, Outbox())
        event = await owner.ended()
        scheduler.clear()
    assert event == Unreachable(1, "TLS: wrong version number")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_both_versions_of_tls_will_do(version: ssl.TLSVersion) -> None:
    server, client = contexts()
    only = trusting(None)
    assert only.minimum_version is ssl.TLSVersion.TLSv1_2, "some builds of Python would take less"
    only.load_verify_locations(cadata="".join(map(ssl.DER_cert_to_PEM_cert, client.get_ca_certs(binary_form=True))))
    only.minimum_version = only.maximum_version = version
    async with scripted_server(accepting, context=server) as listening:
        owner, scheduler = RecordingOwner(1), Scheduler(asyncio.get_running_loop())
        endpoint = Endpoint("127.0.0.1", listening.port)
        links = NativeEngine(scheduler, endpoint, replace(LinkOptions(), tls=only))
        link = links.open(owner, 1, CREDENTIALS, Outbox())
        await owner.accepted()
        link.close()
        await until(lambda: not links.open_links, "the link is gone")
        scheduler.clear()


@ENGINES
async def test_silence_during_the_handshake_is_unreachable(engine: EngineFactory) -> None:
    async with link_bench(OverTls(engine), silent, options=LinkOptions(connect_timeout_s=0.2)) as bench:
        assert await bench.open().owner.ended() == Unreachable(1, "no answer in time")


@ENGINES
async def test_end_during_the_handshake_is_unreachable(engine: EngineFactory) -> None:
    async def leaving(peer: Peer) -> None:
        peer._sock.shutdown(socket.SHUT_WR)

    async with link_bench(OverTls(engine), leaving) as bench:
        assert await bench.open().owner.ended() == Unreachable(1, "closed by the platform during the TLS handshake")


async def test_closed_port_is_unreachable() -> None:
    async with link_bench(OverTls(NativeEngine), silent, port=unused_port()) as bench:
        assert await bench.open().owner.ended() == Unreachable(1, "Connection refused")


@ENGINES
async def test_many_packets_in_one_record_are_all_heard(engine: EngineFactory) -> None:
    async def generous(peer: Peer) -> None:
        await peer.accept()
        await peer.send(*(Publish("t", b"%d" % number, qos=1, packet_id=number) for number in range(1, 51)))
        for _ in range(50):
            await peer.take(PubAck)

    async with link_bench(OverTls(engine), generous) as bench:
        one = bench.open()
        await until(lambda: len(one.owner.told("arrived")) == 50, "every message arrives")
        one.close()


@pytest.mark.parametrize("ca", ["no certificate at all", "", " \n"])
async def test_what_is_no_pem_is_said_to_be_none(ca: str) -> None:
    with pytest.raises(ValueError, match="no certificates in PEM"):
        trusting(ca)


async def test_comments_in_other_languages_do_not_matter(tmp_path: Path) -> None:
    ca, _, _ = made_in(tmp_path, "127.0.0.1", VALID_AT)
    assert trusting("# Főtanúsítvány\n" + ca.read_text()).cert_store_stats()["x509_ca"] == 1


@ENGINES
async def test_reset_at_once_is_unreachable_at_once(engine: type) -> None:
    """What is left of the connection may be gone before there is a TLS socket on it, or while it shakes hands."""
    async with scripted_server(resetting_at_once) as listening:
        scheduler = Scheduler(asyncio.get_running_loop())
        fallen_through = list[object]()
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: fallen_through.append(context))
        links = engine(scheduler, Endpoint("127.0.0.1", listening.port), replace(LinkOptions(), tls=contexts()[1]))
        owners = [RecordingOwner(1) for _ in range(100)]
        for owner in owners:
            links.open(owner, 1, CREDENTIALS, Outbox())
        for owner in owners:
            assert isinstance(await owner.ended(), Unreachable)
        scheduler.clear()
    assert fallen_through == []


async def resetting_at_once(peer: Peer) -> None:
    peer.reset()


@ENGINES
async def test_link_that_is_closed_in_the_middle_of_its_handshake_leaves_nothing(engine: EngineFactory) -> None:
    async with link_bench(OverTls(engine), silent) as bench:
        one = bench.open()
        await until(lambda: bench.server.peers, "the connection is there")
        one.close()
        other = bench.open()
        await until(lambda: len(bench.server.peers) == 2, "the other one is there")
        other.link.cut("the network is gone")
        assert await other.owner.ended() == Unreachable(1, "the network is gone")


@ENGINES
async def test_record_that_is_broken_is_told_as_a_fault_of_tls(engine: EngineFactory) -> None:
    async def breaking(peer: Peer) -> None:
        await peer.accept()
        await peer._put(b"\x17\x03\x03\x00\x20" + bytes(32))

    async with link_bench(OverTls(engine), breaking) as bench:
        one = bench.open()
        await one.owner.accepted()
        event = await one.owner.ended()
    assert isinstance(event, LinkLost)
    assert event.reason.startswith("TLS: ")
