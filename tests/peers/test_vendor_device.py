"""A device as the vendor's SDK makes them, on the platform: the SDK itself, and the stand-in that CI can run."""

import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.broker.rig import PRIMARY, Rig, running
from tests.peers.device_programs import MQTT_PORT, DeviceProgram, RunningDevice, own_host, switched_on
from tests.support.relay import Passed, Relay, relayed
from tests.support.waiting import until
from wire.mqtt import ConnAck, Connect, PubAck, Publish, Subscribe

pytestmark = pytest.mark.peer

NEW = "secret-after-reset"
SWITCHED_ON = [{"service_id": "light", "properties": {"on": 1}}]
SYSTEM = "$oc/devices/d1/sys/"
CONNACK_S = 1.0
AT_ONCE_S = 0.5
PATIENCE_S = 15.0
CLOCK_GRAIN_MS = 1
"""Either side may cut off or round its milliseconds."""

FIRST_RETRY_S = (1.0 + 1.0 + 0.8, 1.0 + 1.0 + 1.0 + 0.7)
"""A second after every CONNECT, one before every retry, and 0.8 to 1.0; a busy machine may add to that."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A platform with the device d1, and the relay on the vendor's port that the device connects to."""

    rig: Rig
    relay: Relay
    host: str

    def passed(self, kind: type[Any] | tuple[type[Any], ...], link: int | None = None) -> list[Passed]:
        return [one for one in self.relay.passed if isinstance(one.packet, kind) and link in (None, one.link)]

    async def arrival(self, condition: Callable[[], object], what: str) -> None:
        await until(condition, what, PATIENCE_S)

    async def accepted(self, link: int = 0) -> None:
        """Wait for the acknowledgement of the connect event of a link."""
        await self.arrival(lambda: self.passed(PubAck, link), f"link {link} is up and its event acknowledged")

    async def send(self, path: str, payload: object) -> None:
        body = {"topic": SYSTEM + path, "payload": payload, "qos": 1}
        answer = await self.rig.call("POST", "/_platform/devices/d1/messages", body)
        assert (answer.status, answer.body["delivered"]) == (202, True)

    async def command(self, number: int) -> object:
        body = {"command_name": "blink", "service_id": "light", "paras": {"number": number}}
        answer = await self.rig.call("POST", "/_platform/devices/d1/commands", body)
        assert answer.status == 200, answer
        return answer.body["response"]


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    host = own_host()
    async with running(tmp_path) as rig, relayed(host, MQTT_PORT, rig.platform.mqtt_port) as relay:
        await rig.provision("d1")
        yield Stage(rig, relay, host)


async def test_device_is_accepted_within_a_second_and_its_log_event_acknowledged(
    stage: Stage, program: DeviceProgram
) -> None:
    async with switched_on(program, stage.host, "d1", PRIMARY):
        await stage.accepted()
    (connect,), (connack,) = stage.passed(Connect), stage.passed(ConnAck)
    assert isinstance(connect.packet, Connect)
    assert (connect.packet.level, connect.packet.clean_session, connect.packet.keepalive) == (4, True, 120)
    assert connect.packet.client_id.startswith("d1_0_1_")
    assert connack.at - connect.at < CONNACK_S
    event = stage.passed(Publish, 0)[0].packet
    assert isinstance(event, Publish)
    assert (event.topic, event.qos) == (f"{SYSTEM}events/up", 1)
    (service,) = json.loads(event.payload)["services"]
    assert (service["service_id"], service["event_type"]) == ("$log", "log_report")
    assert stage.passed(PubAck, 0)[0].packet == PubAck(event.packet_id)


async def test_device_that_never_subscribes_gets_everything_exactly_once(stage: Stage, program: DeviceProgram) -> None:
    async with switched_on(program, stage.host, "d1", PRIMARY) as device:
        await stage.accepted()
        for number in range(5):
            answer = await stage.command(number)
            assert answer == {"result_code": 0, "response_name": "blink", "paras": {"echo": {"number": number}}}
        await stage.send("messages/down", {"name": "n", "id": "1", "content": "hello"})
        await stage.send(
            "properties/set/request_id=7", {"services": [{"service_id": "light", "properties": {"on": 1}}]}
        )
        await stage.send("properties/get/request_id=8", {"service_id": "light"})
        await stage.arrival(lambda: uplinks(stage, "properties/get/response/request_id=8"), "the last answer")
    commands = [{"command": "blink", "paras": {"number": number}} for number in range(5)]
    assert device.received == [*commands, {"message": "hello"}, {"set": [{"on": 1}]}, {"get": "light"}]
    (result,) = uplinks(stage, "properties/set/response/request_id=7")
    assert json.loads(result)["result_code"] == 0
    assert not stage.passed(Subscribe)


async def test_device_that_asks_for_the_time_is_told(stage: Stage, program: DeviceProgram) -> None:
    async with switched_on(program, stage.host, "d1", PRIMARY) as device:
        await stage.accepted()
        device.ask_for_the_time()
        await stage.arrival(lambda: device.received, "the time is told")
        told = milliseconds()
    ((sent, received, answered),) = (one["time"] for one in device.received)
    assert sent - CLOCK_GRAIN_MS <= received <= answered <= told + CLOCK_GRAIN_MS


async def test_forced_reset_cuts_and_the_device_tries_at_once_and_then_ever_later(
    stage: Stage, program: DeviceProgram
) -> None:
    async with switched_on(program, stage.host, "d1", PRIMARY) as device:
        await reset_and_return(stage, device)
    cut = next(one.at for one in stage.relay.passed if one.link == 0 and one.packet is None)
    first, second, third = (one.at for one in stage.passed(Connect)[1:4])
    assert first - cut < AT_ONCE_S
    low, high = FIRST_RETRY_S
    assert low <= second - first <= high
    assert third - second > second - first
    assert [one.packet.code for one in stage.passed(ConnAck)] == [0, 4, 4, 0]  # type: ignore[union-attr]
    lost = [json.loads(payload)["services"][0]["paras"]["content"] for payload in uplinks(stage, "events/up", 3)]
    assert lost[1:] == ["connect lost"]


async def test_stand_in_is_on_the_wire_what_the_vendors_sdk_is(
    tmp_path: Path, stand_in: DeviceProgram, vendors_sdk: DeviceProgram
) -> None:
    traces = []
    for program in (vendors_sdk, stand_in):
        folder = tmp_path / program.arguments[0].rpartition("/")[2]
        folder.mkdir()
        host = own_host()
        async with running(folder) as rig, relayed(host, MQTT_PORT, rig.platform.mqtt_port) as relay:
            await rig.provision("d1")
            stage = Stage(rig, relay, host)
            async with switched_on(program, host, "d1", PRIMARY) as device:
                await one_story(stage, device)
            await stage.arrival(lambda stage=stage: rig.records("detached")[1:], "the platform sees the end")
            journal = [shown(record) for record in rig.records() if record.get("device") == "d1"]
            traces.append(
                (list(map(outline, device.received)), [shape(one) for one in relay.passed if one.from_device], journal)
            )
    for of_the_sdk, of_the_stand_in in zip(*traces, strict=True):
        assert of_the_sdk == of_the_stand_in


async def one_story(stage: Stage, device: RunningDevice) -> None:
    """Everything that a device meets, one after the other, so that the order on the wire is its own."""
    await stage.accepted()
    await stage.command(1)
    await stage.send("messages/down", {"name": "n", "id": "1", "content": "hello"})
    await stage.send("properties/set/request_id=7", {"services": SWITCHED_ON})
    await stage.arrival(lambda: uplinks(stage, "properties/set/response/request_id=7"), "the properties are set")
    await stage.send("properties/get/request_id=8", {"service_id": "light"})
    await stage.arrival(lambda: uplinks(stage, "properties/get/response/request_id=8"), "the properties are told")
    device.ask_for_the_time()
    await stage.arrival(lambda: "time" in device.received[-1], "the time is told")
    await reset_and_return(stage, device)


async def reset_and_return(stage: Stage, device: RunningDevice) -> None:
    """Cut the device off with a new secret, let it be refused twice, then give it the secret."""
    await stage.accepted()
    await stage.arrival(lambda: device.has_connected, "the device has come to rest")
    assert (await stage.rig.reset(secret=NEW, force_disconnect=True)).status == 200
    await stage.arrival(lambda: stage.passed(ConnAck, 2), "a second refusal")
    device.issue(NEW)
    await stage.arrival(lambda: stage.passed(PubAck, 3)[1:], "the device is back and has said so")


def milliseconds() -> int:
    return time.time_ns() // 1_000_000


def uplinks(stage: Stage, path: str, link: int = 0) -> list[bytes]:
    found = [one.packet for one in stage.passed(Publish, link) if one.from_device]
    return [one.payload for one in found if isinstance(one, Publish) and one.topic == SYSTEM + path]


def shape(one: Passed) -> tuple[object, ...]:
    """What a device sent, but for what differs from one moment to the next."""
    match one.packet:
        case Connect() as connect:
            hour = connect.client_id.removeprefix("d1_0_1_")
            said = (connect.level, connect.clean_session, connect.keepalive, connect.username, connect.will)
            return ("CONNECT", one.link, said, len(hour), len(connect.password or b""))
        case Publish() as publish:
            topic = publish.topic.partition("commands/response/request_id=")
            said = (publish.qos, publish.retain, publish.dup, publish.packet_id)
            return ("PUBLISH", one.link, topic[:2], said, outline(json.loads(publish.payload)))
        case None:
            return ("END", one.link)
        case other:
            return (type(other).__name__, one.link)


def outline(value: object, key: str = "") -> object:
    """A payload with its times taken out."""
    if key in ("event_time", "timestamp", "device_send_time", "time"):
        return sorted({"digit" if char.isdigit() else char for char in str(value)})
    if isinstance(value, dict):
        return {name: outline(part, name) for name, part in value.items()}
    if isinstance(value, list):
        return [outline(part) for part in value]
    return "connect complete" if str(value).startswith("connect complete, the uri is 127.83.") else value


OF_THE_MOMENT = ("t", "peer", "client_id", "request_id")


def shown(record: dict[str, Any]) -> Sequence[object]:
    """What the platform made of it, but for times, ids and addresses."""
    moments = (
        "t",
        "at",
        "utc",
        "wall",
        "n",
        "peer",
        "client_id",
        "request_id",
        "id",
        "session",
        "request",
        "duration_s",
    )
    return sorted((name, str(value)) for name, value in record.items() if name not in moments)
