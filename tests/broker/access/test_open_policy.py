"""Policy open with a broker behind the gate: what devices gain and keep, and what guests are and are not."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from broker.engines.address import EngineAddress
from tests.broker.rig import BOTH_VERSIONS, HOUR, Rig, connect, running
from tests.peers.general_clients import CLOSED, GeneralClient, answered
from tests.support.mosquitto import mosquitto
from wire.mqtt import (
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    Properties,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    Will,
)

pytestmark = pytest.mark.peer

UP = "$oc/devices/d1/sys/messages/up"
DOWN = "$oc/devices/d1/sys/messages/down"
OF_DEVICES = (DOWN, "$oc/devices/+/sys/#", "$oc/#", "$oc", "$share/group/$oc/devices/d1/#")


class House:
    """A platform with an open gate, the devices d1 and d2, and whoever comes in."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self._clients: list[GeneralClient] = []

    async def come(self, packet: Connect) -> GeneralClient:
        """Connect, whatever the answer is."""
        client = await GeneralClient.open(self.rig.platform.mqtt_port, packet.level)
        self._clients.append(client)
        await client.say(packet)
        return client

    async def guest(self, level: int = 4, **fields: Any) -> GeneralClient:
        return await self._let_in(Connect("visitor", level=level, **fields))

    async def device(self, level: int = 4, device_id: str = "d1", **fields: Any) -> GeneralClient:
        return await self._let_in(connect(device_id, level=level, **fields))

    async def other(self, level: int = 4, **fields: Any) -> GeneralClient:
        return await self.device(level, "d2", **fields)

    def close(self) -> None:
        for client in self._clients:
            client.vanish()

    async def _let_in(self, packet: Connect) -> GeneralClient:
        client = await self.come(packet)
        (answer,) = client.seen
        assert isinstance(answer, ConnAck)
        assert answer.code == 0
        return client


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with mosquitto(tmp_path) as broker:
        engine = EngineAddress.parse(f"mqtt://127.0.0.1:{broker.port}")
        async with running(tmp_path, engine=engine, policy="open") as rig:
            await rig.provision("d1", "d2")
            house = House(rig)
            try:
                yield house
            finally:
                house.close()


# -- devices


@BOTH_VERSIONS
async def test_device_and_guest_talk_at_qos_2_and_with_retained_messages(house: House, level: int) -> None:
    one, other = await house.device(level), await house.guest(level)
    await other.subscribe(("talk/#", 2))
    await answered(one, Publish("talk/a", b"kept", 2, 7, retain=True))
    (heard,) = await other.nothing_more()
    assert (heard.payload, heard.qos, heard.retain) == (b"kept", 2, False)
    assert await one.subscribe(("talk/a", 2)) == [SubAck(1, (2,))]
    (kept,) = await one.take()
    assert (kept.payload, kept.qos, kept.retain) == (b"kept", 2, True)
    assert await one.say(PubRec(kept.packet_id)) == [PubRel(kept.packet_id)]
    one.send(PubComp(kept.packet_id))
    await one.nothing_more()
    assert house.rig.records("dropped") == []


@BOTH_VERSIONS
async def test_forced_reset_publishes_the_will_of_the_device(house: House, level: int) -> None:
    witness = await house.guest()
    await witness.subscribe(("gone/#", 1))
    one = await house.device(level, will=Will("gone/d1", b"cut", 1, retain=True))
    await house.rig.reset(force_disconnect=True)
    (will,) = await witness.take()
    assert (will.topic, will.payload, will.qos) == ("gone/d1", b"cut", 1)
    await one.end()
    assert one.seen[1:-1] == ([] if level == 4 else [last(one)])
    await (await house.other(level, will=Will("gone/d2", b"not so"))).leave()
    assert await witness.nothing_more() == []


@BOTH_VERSIONS
async def test_what_a_device_says_to_the_platform_reaches_no_broker(house: House, level: int) -> None:
    witness, one = await house.guest(), await house.device(level)
    await witness.subscribe(("#", 1))
    assert await one.say(Publish(UP, b'{"seq": 1}', 1, 3)) == [PubAck(3)]
    await house.rig.call("POST", "/_platform/devices/d1/messages", {"payload": {"seq": 2}})
    (down,) = await one.take()
    assert down.topic == DOWN
    assert await witness.nothing_more() == []
    assert [one["device"] for one in house.rig.records("uplink")] == ["d1"]


ALIAS = Properties(topic_alias=1)
NUMBERED = Properties(subscription_identifier=(7,))


@pytest.mark.parametrize("who", ["device", "guest"])
@pytest.mark.parametrize(
    ("packet", "code"),
    [
        (Publish(UP, b"x", 2, 5), 0x9B),
        (Publish(UP, b"x", 0, properties=ALIAS), 0x94),
        (Subscribe(1, (("custom", 0), (DOWN, 1)), properties=NUMBERED), 0xA1),
    ],
    ids=["QoS 2", "alias", "identifier"],
)
async def test_what_the_platform_does_not_offer_on_its_topics_ends_the_session(
    house: House, who: str, packet: Packet, code: int
) -> None:
    client = await getattr(house, who)(5)
    client.send(packet)
    await client.end()
    assert last(client).code == code
    assert "$oc topics" in (last(client).properties.reason_string or "")


async def test_device_of_3_1_1_is_cut_for_qos_2_on_a_topic_of_the_platform(house: House) -> None:
    one = await house.device()
    one.send(Publish(UP, b"x", 2, 5))
    await one.end()
    assert one.seen[1:] == [CLOSED]
    assert [record["reason"] for record in house.rig.records("detached")] == ["protocol_error"]


@BOTH_VERSIONS
@pytest.mark.parametrize("who", ["device", "guest"])
@pytest.mark.parametrize("topic", [UP, DOWN.replace("d1", "d2")])
async def test_will_on_a_topic_of_the_platform_is_ignored_and_journalled(
    house: House, who: str, topic: str, level: int
) -> None:
    (await getattr(house, who)(level, will=Will(topic, b"x", 1, retain=True))).vanish()
    (record,) = house.rig.records("dropped")
    assert (record["topic"], record["reason"]) == (topic, "will_ignored")
    assert record.get("device", record.get("client_id")) in ("d1", "visitor")


# -- guests


@BOTH_VERSIONS
@pytest.mark.parametrize("who", ["guest", "other"])
async def test_nobody_else_hears_or_speaks_on_the_topics_of_a_device(house: House, who: str, level: int) -> None:
    failure = 0x87 if level == 5 else 0x80
    one = await house.device()
    await one.subscribe((DOWN, 1), ("#", 1))
    other = await getattr(house, who)(level)
    wanted = tuple((topic, 1) for topic in OF_DEVICES)
    assert await other.subscribe(*wanted, ("talk", 1)) == [SubAck(1, (failure,) * len(wanted) + (1,))]
    assert await other.say(Publish(DOWN, b"forged", 1, 3)) == [PubAck(3, 0x87 if level == 5 else 0)]
    assert await one.nothing_more() == []
    name = {"device": "d2"} if who == "other" else {"client_id": "visitor"}
    dropped = house.rig.records("dropped")
    assert [record["topic"] for record in dropped] == [*OF_DEVICES, DOWN]
    assert all(name.items() <= record.items() for record in dropped)
    assert all(("device" in record) == (who == "other") for record in dropped)


@BOTH_VERSIONS
@pytest.mark.parametrize(
    ("client_id", "code"), [("d1", {4: 2, 5: 0x85}), *((f"{one}_0_1_{HOUR}", {4: 4, 5: 0x86}) for one in ("d1", "d3"))]
)
async def test_who_claims_to_be_a_device_is_no_guest(
    house: House, client_id: str, code: dict[int, int], level: int
) -> None:
    one = await house.device()
    stranger = await house.come(Connect(client_id, level=level))
    await stranger.end()
    (refused, *_) = stranger.seen
    assert isinstance(refused, ConnAck)
    assert refused.code == code[level]
    assert await one.nothing_more() == []
    assert (await house.rig.statistics())["guests"] == 0


@BOTH_VERSIONS
async def test_guest_is_no_device(house: House, level: int) -> None:
    visitor = await house.guest(level)
    assert await house.rig.sessions() == {}
    statistics = await house.rig.statistics()
    assert (statistics["guests"], statistics["accepted"]) == (1, 0)
    await visitor.leave()
    (came,), left = house.rig.records("guest"), await house.rig.record("guest_left")
    assert (came["client_id"], came["mqtt"]) == ("visitor", "5" if level == 5 else "3.1.1")
    assert (left["client_id"], left["reason"], left["peer"]) == ("visitor", "client_disconnect", came["peer"])
    assert not house.rig.records("accepted")
    assert not house.rig.records("detached")


def last(client: GeneralClient) -> Disconnect:
    """The DISCONNECT before the close."""
    packet = client.seen[-2]
    assert isinstance(packet, Disconnect)
    return packet
