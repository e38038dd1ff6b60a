"""What every link engine must do in MQTT 5.0 beside what it does in 3.1.1; see test_conformance for the rules."""

import pytest

from simulator.device.events import Accepted, Cause, LinkLost, Refused, Unreachable
from simulator.links.link import LinkOptions
from tests.support.link_bench import EngineFactory, link_bench, messages, outbox_of
from tests.support.mqtt_server import Peer
from tests.support.waiting import until
from wire.mqtt import ConnAck, Connect, Disconnect, Packet, PingReq, Properties, PubAck, Publish, ReasonCode

OPTIONS = LinkOptions(level=5)


async def test_refusal_has_the_reason_code_of_5(engine: EngineFactory) -> None:
    async def refusing(peer: Peer) -> None:
        assert (await peer.take(Connect)).level == 5
        properties = Properties(reason_string="bad user name or password")
        await peer.send(ConnAck(ReasonCode.BAD_USER_NAME_OR_PASSWORD, properties=properties))
        await peer.read_to_the_end()

    async with link_bench(engine, refusing, options=OPTIONS) as bench:
        assert await bench.open(1).owner.ended() == Refused(1, Cause.CREDENTIAL, 0x86)


async def test_busy_platform_is_unreachable(engine: EngineFactory) -> None:
    async def busy(peer: Peer) -> None:
        await peer.take(Connect)
        await peer.send(ConnAck(ReasonCode.SERVER_BUSY))
        await peer.read_to_the_end()

    async with link_bench(engine, busy, options=OPTIONS) as bench:
        assert isinstance(await bench.open(1).owner.ended(), Unreachable)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (ReasonCode.ADMINISTRATIVE_ACTION, "administrative action (0x98)"),
        (ReasonCode.SESSION_TAKEN_OVER, "session taken over (0x8e)"),
        (ReasonCode.KEEP_ALIVE_TIMEOUT, "keep alive timeout (0x8d)"),
    ],
)
async def test_reason_of_the_platforms_disconnect_is_told(engine: EngineFactory, code: ReasonCode, reason: str) -> None:
    async def cutting(peer: Peer) -> None:
        await peer.accept()
        await peer.send(Disconnect(code))
        peer.finish()
        await peer.read_to_the_end()

    async with link_bench(engine, cutting, options=OPTIONS) as bench:
        assert await bench.open(1).owner.ended() == LinkLost(1, reason)


async def test_platform_narrows_the_window(engine: EngineFactory) -> None:
    seen: list[int] = []

    async def narrow(peer: Peer) -> None:
        await peer.take(Connect)
        await peer.send(ConnAck(0, properties=Properties(receive_maximum=2)))
        first, second = await peer.take(Publish), await peer.take(Publish)
        seen.append(len(peer.packets))
        for publish in (first, second):
            await peer.send(PubAck(publish.packet_id))
        for _ in range(3):
            publish = await peer.take(Publish)
            await peer.send(PubAck(publish.packet_id))
        await peer.read_to_the_end()

    async with link_bench(engine, narrow, options=OPTIONS) as bench:
        link = bench.open(1, outbox_of(*messages(5)))
        await until(lambda: link.owner.told("acknowledged") == [1, 2, 3, 4, 5], "all are acknowledged, in order")
        link.close()
    assert seen == [3]


async def test_platform_sets_the_keepalive(engine: EngineFactory) -> None:
    async def hasty(peer: Peer) -> None:
        await peer.take(Connect)
        await peer.send(ConnAck(0, properties=Properties(server_keep_alive=1)))
        await peer.take(PingReq)
        peer.finish()

    async with link_bench(engine, hasty, options=OPTIONS) as bench:
        assert await bench.open(1).owner.ended() == LinkLost(1, "closed by the platform")


async def test_refused_message_is_not_acknowledged_and_makes_room(engine: EngineFactory) -> None:
    async def refusing(peer: Peer) -> None:
        await peer.accept()
        first, second = await peer.take(Publish), await peer.take(Publish)
        await peer.send(PubAck(first.packet_id, ReasonCode.NOT_AUTHORIZED), PubAck(second.packet_id))
        await peer.read_to_the_end()

    async with link_bench(engine, refusing, options=OPTIONS) as bench:
        link = bench.open(1, outbox_of(*messages(2)))
        await until(lambda: link.owner.told("acknowledged") == [2], "the second is acknowledged")
        link.close()


async def test_kept_session_is_told_and_asked_for(engine: EngineFactory) -> None:
    connects: list[Connect] = []

    async def remembering(peer: Peer) -> None:
        connects.append(await peer.accept(session_present=True))
        await peer.read_to_the_end()

    async with link_bench(engine, remembering, options=LinkOptions(level=5, clean=False)) as bench:
        link = bench.open(1)
        await until(lambda: Accepted(1, session_present=True) in link.owner.events, "it is accepted")
        link.close()
    (connect,) = connects
    assert not connect.clean_session
    assert connect.properties.session_expiry_interval == 86_400


async def test_nothing_over_the_platforms_maximum_packet_size_is_sent(engine: EngineFactory) -> None:
    sent: list[Publish] = []

    async def modest(peer: Peer) -> None:
        await peer.take(Connect)
        await peer.send(ConnAck(0, properties=Properties(maximum_packet_size=40)))
        for _ in range(2):
            sent.append(await peer.take(Publish))
            await peer.send(PubAck(sent[-1].packet_id))
        await peer.read_to_the_end()

    small, large, last = messages(3)
    large.payload = b"x" * 40
    async with link_bench(engine, modest, options=OPTIONS) as bench:
        link = bench.open(1, outbox_of(small, large, last))
        await until(lambda: link.owner.told("acknowledged") == [1, 3], "what fits is acknowledged")
        link.close()
    assert [one.payload for one in sent] == [small.payload, last.payload]
    assert link.owner.told("sent") == [[1, 3]]


async def test_device_that_takes_only_small_packets_says_so_and_ends_on_a_larger_one(engine: EngineFactory) -> None:
    heard: list[Packet] = []

    async def careless(peer: Peer) -> None:
        connect = await peer.accept()
        heard.append(connect)
        fits = Publish("t", b"x" * (connect.properties.maximum_packet_size - 6))
        assert len(fits.encode(5)) == 40
        await peer.send(fits, Publish("t", fits.payload + b"x"))
        heard.append(await peer.receive())

    async with link_bench(engine, careless, options=LinkOptions(level=5, maximum_packet_size=40)) as bench:
        link = bench.open(1)
        lost = await link.owner.ended()
        assert isinstance(lost, LinkLost)
        assert "a packet of 39 bytes, at most 38" in lost.reason
        assert link.owner.told("arrived") == [("t", b"x" * 34)]
        await until(lambda: len(heard) == 2, "the platform hears why")
    assert heard[1] == Disconnect(ReasonCode.PACKET_TOO_LARGE)


async def test_nothing_counts_that_follows_a_violation(engine: EngineFactory) -> None:
    async def confused(peer: Peer) -> None:
        await peer.accept()
        sent = await peer.take(Publish)
        await peer.send(ConnAck(0), ConnAck(0), PubAck(sent.packet_id), Publish("late", b"x"))
        await peer.read_to_the_end()

    async with link_bench(engine, confused, options=OPTIONS) as bench:
        link = bench.open(1, outbox_of(*messages(1)))
        assert await link.owner.ended() == LinkLost(1, "protocol error: a second CONNACK")
        assert link.owner.told("arrived") == link.owner.told("acknowledged") == []
