"""The platform and an engine send a client messages on one connection: their packet ids never meet."""

import asyncio
from itertools import zip_longest

from tests.broker.engines.stage import (
    COMMANDS,
    IN_EVERY_VERSION,
    command,
    enter,
    message,
    nothing_more,
    persistent,
    publish,
    subscribe,
)
from tests.broker.rig import Client, Rig, connect
from wire.mqtt import Disconnect, PubAck, Publish

EACH = 5
"""RabbitMQ sends 10 at a time, and we 20."""


async def next_message(client: Client) -> Publish:
    """Receive a message and leave it unacknowledged."""
    packet = await client.receive()
    assert isinstance(packet, Publish), packet
    assert packet.qos == 1
    return packet


async def nothing_again(rig: Rig, client: Client, level: int) -> None:
    """Show that all was acknowledged to whom it came from: nothing of it is sent to the next session."""
    await nothing_more(client)
    async with client:
        client.send(Disconnect())
        assert await client.rest() == []
    again, answer = await enter(rig, persistent(level))
    async with again:
        assert answer.session_present
        await nothing_more(again)


@IN_EVERY_VERSION
async def test_message_of_the_engine_comes_while_one_of_ours_is_in_flight(rig: Rig, level: int) -> None:
    client, _ = await enter(rig, persistent(level))
    await subscribe(client, (COMMANDS, 1), ("talk", 1))
    await command(rig)
    ours = await next_message(client)
    async with await rig.login(connect("d2")) as other:
        await publish(other, "talk", b"hello")
    its = await next_message(client)
    assert (its.topic, its.payload) == ("talk", b"hello")
    assert its.packet_id != ours.packet_id
    client.send(PubAck(its.packet_id), PubAck(ours.packet_id))
    await nothing_again(rig, client, level)


@IN_EVERY_VERSION
async def test_message_of_ours_comes_while_one_of_the_engine_is_in_flight(rig: Rig, level: int) -> None:
    client, _ = await enter(rig, persistent(level))
    await subscribe(client, (COMMANDS, 1), ("talk", 1))
    async with await rig.login(connect("d2")) as other:
        await publish(other, "talk", b"hello")
    its = await next_message(client)
    await command(rig)
    ours = await next_message(client)
    assert ours.topic.startswith("$oc/devices/d1/sys/commands/")
    assert its.packet_id != ours.packet_id
    client.send(PubAck(ours.packet_id), PubAck(its.packet_id))
    await nothing_again(rig, client, level)


@IN_EVERY_VERSION
async def test_many_of_both_are_told_apart_and_none_is_lost(rig: Rig, level: int) -> None:
    client, _ = await enter(rig, persistent(level))
    await subscribe(client, (COMMANDS, 1), ("talk", 1))
    async with await rig.login(connect("d2")) as other, asyncio.TaskGroup() as tasks:
        for number in range(EACH):
            tasks.create_task(command(rig))
            await publish(other, "talk", b"%d" % number)
    got = [await next_message(client) for _ in range(2 * EACH)]
    assert len({one.packet_id for one in got}) == 2 * EACH
    talk = [one for one in got if one.topic == "talk"]
    assert [one.payload for one in talk] == [b"%d" % number for number in range(EACH)]
    backwards = zip_longest(reversed(got[::2]), got[1::2])
    client.send(*(PubAck(one.packet_id) for pair in backwards for one in pair if one is not None))
    async with await rig.login(connect("d2")) as other:
        await publish(other, "talk", b"last")
        assert (await message(client)).payload == b"last"
    await nothing_again(rig, client, level)
