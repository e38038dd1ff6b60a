"""Persistent sessions with every engine behind the gate: what is there again, and what a broker must have forgotten."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.broker.engines.stage import (
    COMMANDS,
    IN_EVERY_VERSION,
    RELAYED,
    Engine,
    command,
    enter,
    message,
    nothing_more,
    param,
    persistent,
    publish,
    subscribe,
)
from tests.broker.rig import DEADLINE_S, HOUR, SECONDARY, Client, FakeClock, Rig, connect, running
from tests.support.waiting import until
from wire.mqtt import Connect, Disconnect

LATER = "2026112120"


async def leave(client: Client) -> None:
    async with client:
        client.send(Disconnect())
        assert await client.rest() == []


async def say(rig: Rig, *payloads: bytes, topic: str = "q", qos: int = 1) -> None:
    async with await rig.login(connect("d2")) as sender:
        for payload in payloads:
            await publish(sender, topic, payload, qos)


async def set_up(rig: Rig, level: int) -> None:
    """Have the device subscribe, and go."""
    client, answer = await enter(rig, persistent(level))
    assert not answer.session_present
    await subscribe(client, ("q", 1), (COMMANDS, 1))
    await leave(client)


@IN_EVERY_VERSION
async def test_subscriptions_and_queued_messages_are_there_again(rig: Rig, level: int) -> None:
    await set_up(rig, level)
    await say(rig, *(b"%d" % number for number in range(10)))
    later = persistent(level, hour=LATER)
    assert later.client_id != f"d1_0_0_{HOUR}"
    client, answer = await enter(rig, later)
    async with client:
        assert answer.session_present
        assert [(await message(client)).payload for _ in range(10)] == [b"%d" % number for number in range(10)]
        await say(rig, b"live")
        assert (await message(client)).payload == b"live"
        await command(rig)
        assert (await message(client)).qos == 1
        await nothing_more(client)


Cut = Callable[[Rig, Client, int], Awaitable[Client]]


async def taken_over(rig: Rig, client: Client, level: int) -> Client:
    new, answer = await enter(rig, persistent(level))
    assert answer.session_present
    await client.rest()
    return new


async def reset(rig: Rig, client: Client, level: int) -> Client:
    await rig.reset(force_disconnect=True)
    await client.rest()
    new, answer = await enter(rig, persistent(level, secret=SECONDARY))
    assert answer.session_present
    return new


async def crashed(rig: Rig, client: Client, level: int) -> Client:
    client.writer.transport.abort()
    await rig.record("detached", device="d1", reason="connection_lost")
    new, answer = await enter(rig, persistent(level))
    assert answer.session_present
    return new


@IN_EVERY_VERSION
@pytest.mark.parametrize("how", [taken_over, reset, crashed], ids=lambda how: how.__name__)
async def test_session_goes_on_however_it_ended(rig: Rig, level: int, how: Cut) -> None:
    client, _ = await enter(rig, persistent(level))
    await subscribe(client, ("q", 1), (COMMANDS, 1))
    new = await how(rig, client, level)
    async with new:
        await say(rig, b"after")
        assert (await message(new)).payload == b"after"
        await command(rig)
        assert (await message(new)).qos == 1
        await nothing_more(new)
    client.writer.close()


async def knows(engine: Engine, device_id: str = "d1") -> bool:
    """Ask the broker itself whether it keeps anything under a device's id."""
    client, answer = await engine.direct(Connect(device_id, clean_session=False))
    client.writer.close()
    return answer.session_present


def amqtt_knows(device_id: str) -> bool:
    from amqtt.broker import Broker

    brokers = (one for one in gc.get_objects() if type(one) is Broker and one.transitions.state == "started")
    return any(device_id in broker.sessions for broker in brokers)


async def forgotten(engine: Engine) -> None:
    """Wait until the broker keeps nothing of the device; a look leaves what it finds as it was."""
    if engine.name == "amqtt":
        await until(lambda: not amqtt_knows("d1"), "amqtt forgets the device")
    elif engine.name != "builtin":
        async with asyncio.timeout(DEADLINE_S):
            while await knows(engine):
                pass


@IN_EVERY_VERSION
async def test_clean_start_begins_anew_and_the_broker_has_forgotten(rig: Rig, engine: Engine, level: int) -> None:
    await set_up(rig, level)
    await say(rig, b"lost")
    client, answer = await enter(rig, connect(level=level))
    async with client:
        assert not answer.session_present
        await say(rig, b"unheard")
        await command(rig)
        assert (await message(client)).qos == 0
        await nothing_more(client)
        await leave(client)
    (record,) = rig.records("forgotten")
    assert (record["device"], record["reason"]) == ("d1", "clean_start")
    await forgotten(engine)
    client, answer = await enter(rig, persistent(level))
    async with client:
        assert not answer.session_present
        await say(rig, b"unheard")
        await nothing_more(client)


@IN_EVERY_VERSION
@pytest.mark.parametrize("is_online", [False, True])
async def test_deleted_device_is_forgotten(rig: Rig, engine: Engine, level: int, is_online: bool) -> None:
    client, _ = await enter(rig, persistent(level))
    await subscribe(client, ("q", 1))
    if not is_online:
        await leave(client)
        await say(rig, b"lost")
    assert (await rig.call("DELETE", "/v5/iot/p/devices/d1")).status == 204
    await client.rest() if is_online else None
    client.writer.close()
    await rig.provision("d1")
    client, answer = await enter(rig, persistent(level))
    async with client:
        assert not answer.session_present
        await say(rig, b"unheard")
        await nothing_more(client)
        await leave(client)


@RELAYED
async def test_deleted_device_leaves_nothing_at_the_broker(rig: Rig, engine: Engine) -> None:
    await set_up(rig, 4)
    await rig.call("DELETE", "/v5/iot/p/devices/d1")
    await forgotten(engine)


@pytest.mark.parametrize(
    ("engine", "level"),
    [param("builtin", 5), param("amqtt", 4), param("mosquitto", 4), param("mosquitto", 5), param("rabbitmq", 4)],
    indirect=["engine"],
)
async def test_state_that_is_too_old_is_forgotten_by_both(tmp_path: Path, engine: Engine, level: int) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock, engine=engine.address, sweep_s=0.01, stored_state_limit_s=100) as rig:
        await rig.provision("d1", "d2")
        await set_up(rig, level)
        await say(rig, b"too old")
        clock.advance(101)
        await rig.record("forgotten", device="d1", reason="expired")
        client, answer = await enter(rig, persistent(level))
        async with client:
            assert not answer.session_present
            await say(rig, b"unheard")
            await nothing_more(client)
