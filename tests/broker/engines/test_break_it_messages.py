"""Messages that brokers lose or spoil: what becomes of them with every engine behind the gate."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.broker.engines.faults import Fault, has
from tests.broker.engines.stage import (
    EVERY,
    RELAYED,
    Engine,
    enter,
    message,
    nothing_more,
    persistent,
    publish,
    subscribe,
)
from tests.broker.rig import Client, Rig, connect, running
from wire.mqtt import Disconnect, PubAck, Publish

COUNT = 5


async def leave(client: Client) -> None:
    async with client:
        client.send(Disconnect())
        assert await client.rest() == []


@EVERY
async def test_message_that_is_not_acknowledged_is_sent_again(rig: Rig, engine: Engine) -> None:
    client, _ = await enter(rig, persistent())
    await subscribe(client, ("talk", 1))
    async with await rig.login(connect("d2")) as other:
        for number in range(COUNT):
            await publish(other, "talk", b"%d" % number)
    for _ in range(COUNT):
        assert isinstance(await client.receive(), Publish)
    await leave(client)
    again, answer = await enter(rig, persistent())
    async with again:
        assert answer.session_present
        if has(engine, Fault.LOSES_UNACKNOWLEDGED):
            await nothing_more(again)
            return
        got = [await message(again) for _ in range(COUNT)]
        assert [one.payload for one in got] == [b"%d" % number for number in range(COUNT)]
        assert all(one.dup for one in got)


@EVERY
async def test_message_of_qos_0_arrives_so(rig: Rig, engine: Engine) -> None:
    async with await rig.login() as client, await rig.login(connect("d2")) as other:
        await subscribe(client, ("talk", 1))
        await publish(other, "talk", b"x", qos=0)
        assert (await message(client)).qos == (1 if has(engine, Fault.RAISES_QOS) else 0)


@EVERY
async def test_message_that_waited_is_not_marked_as_retained(rig: Rig, engine: Engine) -> None:
    client, _ = await enter(rig, persistent())
    await subscribe(client, ("talk", 1))
    await leave(client)
    async with await rig.login(connect("d2")) as other:
        await publish(other, "talk", b"x")
    client, _ = await enter(rig, persistent())
    async with client:
        assert (await message(client)).retain is has(engine, Fault.MARKS_AS_RETAINED)


@pytest.fixture
async def open_rig(tmp_path: Path, engine: Engine) -> AsyncIterator[Rig]:
    """Only an open gate lets clients have messages retained, or say something on topics that begin with $."""
    async with running(tmp_path, engine=engine.address, policy="open", linger_s=0.2, stuck_s=0.02) as rig:
        await rig.provision("d1", "d2")
        yield rig


@RELAYED
async def test_message_on_a_topic_with_a_dollar_costs_nobody_the_session(open_rig: Rig, engine: Engine) -> None:
    async with await open_rig.login() as client:
        client.send(Publish("$other/news", b"x", 1, 7))
        assert isinstance(await client.receive(), PubAck)
        if has(engine, Fault.ENDS_AT_DOLLAR):
            assert await client.rest() == []
        else:
            await nothing_more(client)
    record = await open_rig.record("detached")
    assert (record["reason"] == "engine_closed") is has(engine, Fault.ENDS_AT_DOLLAR)
    async with await open_rig.login() as client:
        await nothing_more(client)


@RELAYED
async def test_retained_message_goes_to_who_asked_for_it(open_rig: Rig, engine: Engine) -> None:
    async with await open_rig.login() as client:
        await subscribe(client, ("priv/+", 1))
        client.send(Publish("priv/secret", b"canary", 1, 7, retain=True))
        assert {type(await client.receive()) for _ in range(2)} == {PubAck, Publish}
        async with await open_rig.login(connect("d2")) as stranger:
            got = await stranger.receive() if has(engine, Fault.LEAKS_RETAINED) else None
            await nothing_more(stranger)
        client.send(Publish("priv/secret", b"", 1, 8, retain=True))
        assert {type(await client.receive()) for _ in range(2)} == {PubAck, Publish}
    assert (got is not None) is has(engine, Fault.LEAKS_RETAINED)
