"""Messages that brokers lose or spoil: what becomes of them with every engine behind the gate."""

from pathlib import Path

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
from tests.broker.engines.test_pressure import pour
from tests.broker.rig import Client, Rig, connect, running
from wire.mqtt import Disconnect, Publish

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


@RELAYED
async def test_retained_message_goes_to_who_asked_for_it(tmp_path: Path, engine: Engine) -> None:
    """Only an open gate lets clients have messages retained."""
    async with running(tmp_path, engine=engine.address, policy="open", linger_s=0.2, stuck_s=0.02) as rig:
        await rig.provision("d1", "d2")
        async with await rig.login() as client:
            await subscribe(client, ("priv/+", 1))
            client.send(Publish("priv/secret", b"canary", 1, 7, retain=True))
            await client.receive(), await client.receive()
            async with await rig.login(connect("d2")) as stranger:
                got = await stranger.receive() if has(engine, Fault.LEAKS_RETAINED) else None
                await nothing_more(stranger)
            client.send(Publish("priv/secret", b"", 1, 8, retain=True))
            await client.receive()
    assert (got is not None) is has(engine, Fault.LEAKS_RETAINED)


@EVERY
async def test_client_that_stops_reading_is_held_up_or_cut(rig: Rig, engine: Engine) -> None:
    async with await rig.login(connect("d2")) as deaf, await rig.login() as client:
        await subscribe(deaf, ("flood", 0))
        deaf.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await pour(client, "flood")
        await nothing_more(client)
        cut = has(engine, Fault.CUTS_WHO_STOPS_READING)
        assert set(await rig.sessions()) == ({"d1"} if cut else {"d1", "d2"})
    reasons = [one["reason"] for one in rig.records("detached")]
    assert reasons.count("slow_consumer") == cut
