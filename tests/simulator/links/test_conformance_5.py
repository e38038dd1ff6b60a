"""What every link engine must do in MQTT 5.0 beside what it does in 3.1.1; see test_conformance for the rules."""

import pytest

from simulator.device.events import Accepted, Cause, LinkLost, Refused, Unreachable
from simulator.links.link import LinkOptions
from tests.support.link_bench import EngineFactory, link_bench, messages, outbox_of
from tests.support.mqtt_server import Peer
from tests.support.waiting import until
from wire.mqtt import ConnAck, Connect, Disconnect, PingReq, Properties, PubAck, Publish, ReasonCode

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
