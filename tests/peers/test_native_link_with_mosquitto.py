"""The native engine against mosquitto, a broker that we did not write."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from simulator.clock import SystemClock
from simulator.credentials import MqttCredentials
from simulator.device.backoff import Backoff, Shape
from simulator.device.events import Accepted, Cause, LinkLost, Refused, Unreachable
from simulator.device.keyring import Keyring
from simulator.device.lifecycle import Device, State
from simulator.dialects.mqtt import MqttDialect
from simulator.driver import Driver, Surroundings
from simulator.journal import Journal, Record
from simulator.links.link import Endpoint, LinkOptions
from simulator.links.native import NativeEngine
from simulator.links.outbox import Outbox
from simulator.scheduler import Scheduler
from tests.support.link_bench import messages, outbox_of
from tests.support.link_owner import RecordingOwner
from tests.support.mosquitto import Mosquitto, mosquitto
from tests.support.stage import PRIMARY, STEADY
from tests.support.waiting import until

pytestmark = pytest.mark.peer

USER, PASSWORD = "d1", "right-password"
IMPATIENT = replace(STEADY, backoff=Backoff(Shape.FIXED, base_s=0.02))


@contextlib.asynccontextmanager
async def engine_for(broker: Mosquitto, keepalive_s: int = 60) -> AsyncIterator[NativeEngine]:
    """An engine that has no link left at the end."""
    scheduler = Scheduler(asyncio.get_running_loop())
    engine = NativeEngine(scheduler, Endpoint("127.0.0.1", broker.port), LinkOptions(keepalive_s))
    yield engine
    await until(lambda: not engine.open_links, "every link is closed")
    scheduler.clear()


def credentials(password: str = PASSWORD) -> MqttCredentials:
    return MqttCredentials("d1_0_0_2025010100", USER, password)


async def test_link_is_accepted_and_its_publishes_arrive_with_both_qualities(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker, engine_for(broker) as engine:
        await broker.keep("up/#")
        owner, outbox = RecordingOwner(1), outbox_of(*messages(30))
        link = engine.open(owner, 1, credentials(), outbox)
        await owner.accepted()
        await until(lambda: not len(outbox), "everything is acknowledged")
        link.publish("up/0", b'{"seq":0}')
        link.close()
        kept = await broker.kept("up/#", 31)
        assert kept == [f'up/{seq} {{"seq":{seq}}}' for seq in [*range(1, 31), 0]]
        assert owner.events == [Accepted(1)]


@pytest.mark.parametrize("qos", [0, 1])
async def test_message_from_another_client_arrives(tmp_path: Path, qos: int) -> None:
    async with mosquitto(tmp_path) as broker, engine_for(broker) as engine:
        owner = RecordingOwner(1)
        link = engine.open(owner, 1, credentials(), outbox := Outbox())
        await owner.accepted()
        link.subscribe("down/#", 1)
        outbox.add(messages(1)[0])
        link.send_due()
        await until(lambda: owner.told("acknowledged"), "what was sent after SUBSCRIBE is acknowledged")
        for number in range(3):
            await broker.publish(f"down/{number}", f"päyload {number}", qos)
        await until(lambda: len(owner.told("arrived")) == 3, "three messages arrive")
        assert owner.told("arrived") == [(f"down/{number}", f"päyload {number}".encode()) for number in range(3)]
        link.close()


async def test_large_message_arrives_whole_both_ways(tmp_path: Path) -> None:
    payload = bytes(range(256)) * 4096
    async with mosquitto(tmp_path) as broker, engine_for(broker) as engine:
        owner = RecordingOwner(1)
        link = engine.open(owner, 1, credentials(), Outbox())
        await owner.accepted()
        link.subscribe("echo", 1)
        link.publish("echo", payload)
        await until(lambda: owner.told("arrived"), "the echo arrives")
        assert owner.told("arrived") == [("echo", payload)]
        link.close()


async def test_pings_keep_the_link_alive(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker, engine_for(broker, keepalive_s=1) as engine:
        owner, loop = RecordingOwner(1), asyncio.get_running_loop()
        link = engine.open(owner, 1, credentials(), Outbox())
        await owner.accepted()
        patience = loop.time() + 2.0  # mosquitto cuts a silent client after 1.5 s
        await until(lambda: loop.time() > patience, "two seconds have passed")
        assert owner.events == [Accepted(1)]
        link.close()


async def test_right_password_is_accepted_and_a_wrong_one_refused_with_code_5(tmp_path: Path) -> None:
    async with mosquitto(tmp_path, {USER: PASSWORD}) as broker, engine_for(broker) as engine:
        right, wrong = RecordingOwner(1), RecordingOwner(2)
        link = engine.open(right, 1, credentials(), Outbox())
        await right.accepted()
        engine.open(wrong, 2, credentials("wrong-password"), Outbox())
        assert await wrong.ended() == Refused(2, Cause.NOT_ALLOWED, 5)
        assert right.events == [Accepted(1)]
        link.close()


async def test_take_over_by_the_same_client_id_loses_the_older_link(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker, engine_for(broker) as engine:
        older, newer = RecordingOwner(1), RecordingOwner(2)
        engine.open(older, 1, credentials(), Outbox())
        await older.accepted()
        link = engine.open(newer, 2, credentials(), Outbox())
        assert isinstance(await older.ended(), LinkLost)
        await newer.accepted()
        link.close()


async def test_link_to_a_broker_that_stopped_is_lost_and_the_next_one_unreachable(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker, engine_for(broker) as engine:
        first, second = RecordingOwner(1), RecordingOwner(2)
        engine.open(first, 1, credentials(), Outbox())
        await first.accepted()
        await broker.stop()
        assert isinstance(await first.ended(), LinkLost)
        engine.open(second, 2, credentials(), Outbox())
        assert isinstance(await second.ended(), Unreachable)


async def test_device_survives_a_restart_of_the_broker_and_delivers_what_it_owed(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker, engine_for(broker) as engine:
        records: list[Record] = []
        crashes: list[Exception] = []
        journal = Journal(SystemClock())
        journal.listeners.append(records.append)
        around = Surroundings(
            engine, MqttDialect(), engine.scheduler, journal, SystemClock(), lambda _id, error: crashes.append(error)
        )
        driver = Driver(Device("d1", Keyring.of(PRIMARY), IMPATIENT), around)

        def recovered() -> int:
            return [record["kind"] for record in records].count("recovered")

        driver.start()
        await until(lambda: recovered() == 1, "the device is online")
        await broker.stop()
        await until(lambda: any(record["kind"] == "unreachable" for record in records), "it tries in vain")
        await broker.start()
        await until(lambda: recovered() == 2, "the device is online again")
        driver.report({"number": 1}, qos=1)
        await until(lambda: not driver.owes, "its report is acknowledged")
        driver.stop()
        assert driver.device.state is State.STOPPED
        assert crashes == []
