"""What every link engine must do, whatever the platform and the network do.

Leaving the bench checks the rules of `simulator.links.link` each time: one terminal event at most, with its own
attempt number and after the descriptor is gone; Accepted first and once; nothing after the end; no descriptor and no
task left; `open_links` back to 0.
"""

import asyncio
import errno
import os

import pytest

from simulator.device.events import Accepted, Cause, LinkLost, Refused, Unreachable
from simulator.links.greeting import connect_packet
from simulator.links.link import LinkOptions
from tests.support.link_bench import CREDENTIALS, EngineFactory, link_bench
from tests.support.mqtt_server import Peer, accepting, silent
from tests.support.ports import unused_port
from tests.support.tls import OverTls
from tests.support.waiting import turns, until
from wire.mqtt import ConnAck, Connect, Disconnect, PingReq, PingResp, Publish, SubAck

IMPATIENT = LinkOptions(connect_timeout_s=0.1)
SHORT_KEEPALIVE = LinkOptions(keepalive_s=1)


async def finishing(peer: Peer) -> None:
    await peer.take(Connect)
    peer.finish()


async def resetting(peer: Peer) -> None:
    await peer.take(Connect)
    peer.reset()


def reset_reason(engine: EngineFactory) -> str:
    """OpenSSL does not tell a reset from an end without a goodbye."""
    return "closed by the platform" if isinstance(engine, OverTls) else os.strerror(errno.ECONNRESET)


# -- before CONNACK


@pytest.mark.parametrize(("level", "clean"), [(4, True), (4, False), (5, True), (5, False)])
async def test_connect_is_the_greeting(engine: EngineFactory, level: int, clean: bool) -> None:
    options = LinkOptions(keepalive_s=77, level=level, clean=clean, session_expiry_s=600)
    async with link_bench(engine, accepting, options=options) as bench:
        one = bench.open()
        await one.owner.accepted()
        one.close()
    assert bench.server.peers[0].packets[0] == connect_packet(CREDENTIALS, options)


async def test_fin_before_connack_is_unreachable(engine: EngineFactory) -> None:
    async with link_bench(engine, finishing) as bench:
        assert await bench.open(attempt=7).owner.ended() == Unreachable(7, "closed by the platform")


async def test_reset_before_connack_is_unreachable(engine: EngineFactory) -> None:
    async with link_bench(engine, resetting) as bench:
        assert await bench.open(attempt=7).owner.ended() == Unreachable(7, reset_reason(engine))


async def test_no_connack_in_time_is_unreachable(engine: EngineFactory) -> None:
    async with link_bench(engine, silent, options=IMPATIENT) as bench:
        assert await bench.open(attempt=7).owner.ended() == Unreachable(7, "no answer in time")
        await bench.server.peers[0].gone.wait()


async def test_time_out_of_an_accepted_link_changes_nothing(engine: EngineFactory) -> None:
    async with link_bench(engine, accepting, options=IMPATIENT) as bench:
        one, deadline = bench.open(), asyncio.get_running_loop().time() + 2 * IMPATIENT.connect_timeout_s
        await one.owner.accepted()
        await until(lambda: asyncio.get_running_loop().time() > deadline, "the time-out has passed")
        assert one.owner.terminal is None
        one.close()


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (1, Cause.CONFIG),
        (2, Cause.CONFIG),
        (4, Cause.CREDENTIAL),
        (5, Cause.NOT_ALLOWED),
        (77, Cause.CONFIG),
    ],
)
async def test_refusal_carries_its_code_and_its_cause(engine: EngineFactory, code: int, cause: Cause) -> None:
    async def refusing(peer: Peer) -> None:
        await peer.take(Connect)
        await peer.send(ConnAck(code))

    async with link_bench(engine, refusing) as bench:
        assert await bench.open(attempt=7).owner.ended() == Refused(7, cause, code)
        await bench.server.peers[0].gone.wait()


async def test_server_unavailable_is_unreachable_and_blames_nobody(engine: EngineFactory) -> None:
    async def busy(peer: Peer) -> None:
        await peer.take(Connect)
        await peer.send(ConnAck(3))

    async with link_bench(engine, busy) as bench:
        assert await bench.open(attempt=7).owner.ended() == Unreachable(7, "server unavailable (3)")


async def test_refusal_is_heard_when_the_connection_ends_in_the_same_segment(engine: EngineFactory) -> None:
    async def refusing(peer: Peer) -> None:
        await peer.take(Connect)
        await peer.send(ConnAck(4))
        peer.finish()

    async with link_bench(engine, refusing) as bench:
        assert await bench.open().owner.ended() == Refused(1, Cause.CREDENTIAL, 4)


async def test_refused_connection_is_unreachable(engine: EngineFactory) -> None:
    async with link_bench(engine, silent, port=unused_port()) as bench:
        assert await bench.open(attempt=7).owner.ended() == Unreachable(7, os.strerror(errno.ECONNREFUSED))


@pytest.mark.parametrize("first", [Publish("t"), PingResp(), SubAck(1, (0,))], ids=lambda packet: type(packet).__name__)
async def test_another_packet_before_connack_is_unreachable(
    engine: EngineFactory, first: Publish | PingResp | SubAck
) -> None:
    async def early(peer: Peer) -> None:
        await peer.send(first)

    async with link_bench(engine, early) as bench:
        ended = await bench.open().owner.ended()
        assert ended == Unreachable(1, f"protocol error: {type(first).__name__} before CONNACK")


async def test_connack_in_single_bytes_is_understood(engine: EngineFactory) -> None:
    async def stammering(peer: Peer) -> None:
        await peer.take(Connect)
        for byte in ConnAck().encode():
            await peer.send_bytes(bytes((byte,)))
            await turns()

    async with link_bench(engine, stammering) as bench:
        one = bench.open()
        await one.owner.accepted()
        one.close()


# -- after CONNACK


async def test_fin_later_is_a_lost_link(engine: EngineFactory) -> None:
    async def leaving(peer: Peer) -> None:
        await peer.accept()
        peer.finish()

    async with link_bench(engine, leaving) as bench:
        one = bench.open(attempt=7)
        assert await one.owner.ended() == LinkLost(7, "closed by the platform")
        assert one.owner.events == [Accepted(7), LinkLost(7, "closed by the platform")]


async def test_reset_later_is_a_lost_link(engine: EngineFactory) -> None:
    async def kicking(peer: Peer) -> None:
        await peer.accept()
        await peer.take(Publish)
        peer.reset()

    async with link_bench(engine, kicking) as bench:
        one = bench.open(attempt=7)
        await one.owner.accepted()
        one.link.publish("t", b"")
        assert await one.owner.ended() == LinkLost(7, reset_reason(engine))


MALFORMED = {
    "garbage": b"\xff\xff\xff\xff\xff\xff\xff\xff",
    "packet of the other role": PingReq().encode(),
    "CONNECT": Connect("x").encode(),
    "DISCONNECT": Disconnect().encode(),
    "second CONNACK": ConnAck().encode(),
    "QoS 2": Publish("t", b"", qos=2, packet_id=1).encode(),
    "PUBACK without an id": b"\x40\x00",
    "length without an end": b"\x30\xff\xff\xff\xff\xff",
    "topic that is not UTF-8": b"\x30\x04\x00\x02\xff\xfe",
    "topic with a wildcard": b"\x30\x05\x00\x03a/#",
    "PUBLISH without a topic": b"\x30\x00",
    "topic without an end": b"\x30\x03\x00\x09t",
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
async def test_broken_protocol_is_a_lost_link(engine: EngineFactory, data: bytes) -> None:
    async def babbling(peer: Peer) -> None:
        await peer.accept()
        await peer.send_bytes(data)

    async with link_bench(engine, babbling) as bench:
        ended = await bench.open(attempt=7).owner.ended()
        assert isinstance(ended, LinkLost)
        assert ended.reason.startswith("protocol error: ")
        (peer,) = bench.server.peers
        await peer.gone.wait()
        assert [type(one) for one in peer.packets] == [Connect], "a violation is no orderly end: no DISCONNECT in 3.1.1"


async def test_garbage_in_the_segment_of_connack_ends_an_accepted_link(engine: EngineFactory) -> None:
    async def babbling(peer: Peer) -> None:
        await peer.take(Connect)
        await peer.send_bytes(ConnAck().encode() + MALFORMED["garbage"])

    async with link_bench(engine, babbling) as bench:
        one = bench.open()
        assert isinstance(await one.owner.ended(), LinkLost)
        assert one.owner.events[0] == Accepted(1)


async def test_open_link_holds_one_descriptor(engine: EngineFactory) -> None:
    async with link_bench(engine, accepting) as bench:
        one = bench.open()
        await one.owner.accepted()
        assert len(bench.link_descriptors()) == 1
        one.close()


# -- keepalive


async def test_keepalive_pings_while_they_are_answered(engine: EngineFactory) -> None:
    async def answering(peer: Peer) -> None:
        await peer.accept()
        while await peer.receive() == PingReq():
            await peer.send(PingResp())

    async with link_bench(engine, answering, options=SHORT_KEEPALIVE) as bench:
        one = bench.open()
        await until(lambda: bench.server.peers and bench.server.peers[0].packets.count(PingReq()) == 2, "two pings")
        assert one.owner.events == [Accepted(1)]
        one.close()


async def test_half_open_link_is_lost_for_want_of_a_ping_answer(engine: EngineFactory) -> None:
    async with link_bench(engine, accepting, options=SHORT_KEEPALIVE) as bench:
        one = bench.open(attempt=7)
        assert await one.owner.ended() == LinkLost(7, "no answer to a ping")
        assert bench.server.peers[0].packets[1:] == [PingReq()]


async def test_half_open_link_is_lost_although_the_device_goes_on_publishing(engine: EngineFactory) -> None:
    async with link_bench(engine, accepting, options=SHORT_KEEPALIVE) as bench:
        one = bench.open()
        await one.owner.accepted()

        def lost_or_published() -> bool:
            one.link.publish("t", b"")
            return one.owner.terminal is not None

        await until(lost_or_published, "the link is lost")
        assert one.owner.terminal == LinkLost(1, "no answer to a ping")
