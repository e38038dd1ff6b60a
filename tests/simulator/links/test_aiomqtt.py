"""What only the aiomqtt engine promises: what it needs of aiomqtt's inside is there, no thread, and nothing left."""

import asyncio
import gc
import inspect
import re
import subprocess
import sys
import threading
from typing import Any

import aiomqtt
import paho.mqtt.client as mqtt
import pytest

from simulator.device.events import LinkLost, Unreachable
from simulator.links.aiomqtt import AiomqttClient, AiomqttEngine, Here, Session
from simulator.links.engines import engine_named
from simulator.links.tamed_paho import TamedPaho
from tests.support.link_bench import link_bench, messages, outbox_of
from tests.support.mqtt_server import Peer, Script, accepting, silent
from tests.support.waiting import turns, until
from wire.mqtt import ConnAck, Connect, PubAck, Publish, SubAck, Subscribe

CALLBACKS = {
    "_on_connect": "self client userdata flags reason_code properties",
    "_on_publish": "self client userdata mid reason_code properties",
    "_on_disconnect": "self client userdata flags reason_code properties",
}
OF_THE_LOOP = {"add_reader", "remove_reader", "add_writer", "remove_writer", "create_task", "call_soon_threadsafe"}
TASKS = 3  # of an idle client: the device's own, aiomqtt's wait for a message, aiomqtt's look at the keepalive


def test_engine_is_named_by_the_scenario() -> None:
    assert engine_named("aiomqtt") is AiomqttEngine


def test_aiomqtt_is_not_imported_before_a_fleet_asks_for_it() -> None:
    look = "import sys, simulator.cli; sys.exit('aiomqtt' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", look], check=False).returncode == 0


# -- the shape of aiomqtt


async def test_aiomqtt_has_inside_what_the_link_takes_hold_of() -> None:
    client = aiomqtt.Client("nowhere")
    assert type(client._client) is mqtt.Client
    assert client._loop is asyncio.get_running_loop()
    assert isinstance(client._queue, asyncio.Queue)
    assert client._misc_task is None
    assert not client._connected.done()
    assert not client._disconnected.done()
    assert list(inspect.signature(client._client_connect).parameters) == []
    for name, parameters in CALLBACKS.items():
        assert " ".join(inspect.signature(getattr(aiomqtt.Client, name)).parameters) == parameters
        assert getattr(client._client, name.removeprefix("_")) == getattr(client, name)


async def test_aiomqtt_asks_of_its_loop_only_what_the_link_gives_it() -> None:
    here = Here(asyncio.get_running_loop())
    asked = set(re.findall(r"self\.(?:_client\.)?_loop\.(\w+)", inspect.getsource(aiomqtt.client)))
    assert asked == OF_THE_LOOP == {name for name in dir(here) if not name.startswith("_")}


def test_paho_has_inside_what_is_tamed() -> None:
    for name in ("_create_socket", "_mid_generate", "_send_publish", "_packet_handle", "_sock_close"):
        assert inspect.isfunction(getattr(mqtt.Client, name)), name
    ours, theirs = (inspect.signature(one._send_publish).parameters for one in (TamedPaho, mqtt.Client))
    assert list(ours) == list(theirs)
    assert mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)._in_packet.keys() >= {"command", "packet"}


# -- one link


async def test_link_has_no_thread_and_the_tasks_of_aiomqtt() -> None:
    async with link_bench(AiomqttEngine, accepting) as bench:
        threads, tasks = threading.active_count(), len(asyncio.all_tasks())
        one = bench.open()
        await one.owner.accepted()
        await turns()
        assert threading.active_count() == threads
        assert len(asyncio.all_tasks() - bench.server.running) == tasks + TASKS
        one.close()


async def test_acknowledgement_counts_although_aiomqtt_waits_for_it_no_longer() -> None:
    async def slow(peer: Peer) -> None:
        await peer.accept()
        message = await peer.take(Publish)
        await peer.take(Subscribe)
        await peer.send(PubAck(message.packet_id))

    async with link_bench(AiomqttEngine, slow) as bench:
        one = bench.open()
        await one.owner.accepted()
        client = one.link._client
        client._session.timeout = 0.01
        one.outbox.add(messages(1)[0])
        one.link.send_due()
        await turns()
        await until(lambda: not client._calls, "aiomqtt has given the message up")
        one.link.subscribe("t", 1)
        await until(lambda: one.owner.told("acknowledged") == [1], "the device hears of the acknowledgement")
        one.close()


async def test_aiomqtt_says_nothing_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    """It warns of ten messages in flight, of a SUBACK that nobody waits for, and of a topic that it cannot read."""

    async def odd(peer: Peer) -> None:
        await peer.accept()
        for _ in range(20):
            await peer.take(Publish)
        await peer.send(SubAck(9, (0,)))
        await peer.send_bytes(b"\x30\x04\x00\x02\xff\xfe")

    async with link_bench(AiomqttEngine, odd) as bench:
        assert isinstance(await bench.open(1, outbox_of(*messages(20))).owner.ended(), LinkLost)
    assert caplog.records == []


async def test_error_that_came_together_with_the_end_is_missed_by_nobody() -> None:
    """A future whose error nobody asks for tells the loop of it when it is freed."""
    async with link_bench(AiomqttEngine, accepting) as bench:
        one = bench.open()
        await one.owner.accepted()
        one.link._client._session._disconnected.set_exception(aiomqtt.MqttError("lost"))
        one.link.cut("network down")
        assert await one.owner.ended() == LinkLost(1, "network down")
        del one
        bench.opened.clear()
        await turns()
        gc.collect()


async def test_task_that_was_cancelled_before_it_began_leaves_nothing_behind() -> None:
    class Hasty(AiomqttEngine):
        def client(self, *args: Any) -> AiomqttClient:
            client = super().client(*args)
            client._life.cancel()
            return client

    async with link_bench(Hasty, silent) as bench:
        assert await bench.open(7).owner.ended() == Unreachable(7, "closed")


async def refusing(peer: Peer) -> None:
    await peer.take(Connect)
    await peer.send(ConnAck(4))


async def finishing(peer: Peer) -> None:
    await peer.accept()
    peer.finish()


def alive() -> set[int]:
    return {id(one) for one in gc.get_objects() if isinstance(one, Session | TamedPaho)}


@pytest.mark.parametrize("script", [accepting, refusing, finishing])
async def test_link_that_ended_is_freed_without_the_collector(script: Script) -> None:
    """It would come late: while a fleet runs, the collector hardly does."""
    gc.collect()
    gc.disable()
    try:
        before = alive()
        async with link_bench(AiomqttEngine, script) as bench:
            bench.open(1, outbox_of(*messages(1)))
            await until(lambda: bench.opened[0].owner.events, "an answer")
            if script is accepting:
                bench.opened[0].close()
            await until(lambda: not bench.engine.open_links, "it has ended")
            await turns()
            bench.opened.clear()
            assert alive() <= before
    finally:
        gc.enable()
