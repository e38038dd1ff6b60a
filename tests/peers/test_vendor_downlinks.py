"""Messages, commands and properties: the vendor's own SDK on one side, paho-mqtt as the device on the other."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client as Paho
from paho.mqtt.client import MQTTMessage, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from tests.broker.rig import DEADLINE_S, PRIMARY, running, sign
from tests.support.iotda_console import METER, Call, Console, create, freeze, sdk, show

pytestmark = pytest.mark.peer

DOWN = f"$oc/devices/{METER}/sys/messages/down"
TOLD = f"$oc/devices/{METER}/sys/events/down"
ASK_TIME = {"service_id": "$time_sync", "event_type": "time_sync_request", "paras": {"device_send_time": "12"}}
TIME_SYNC = {"object_device_id": METER, "services": [ASK_TIME]}
BOTH_PROTOCOLS = pytest.mark.parametrize("protocol", [MQTTv311, MQTTv5], ids=["3.1.1", "5"])

Answers = Callable[[MQTTMessage], bytes]


class Device:
    """A paho client that notes what comes down, and answers what it is asked."""

    def __init__(self, console: Console, protocol: Any, answers: Answers | None) -> None:
        hour = datetime.now(UTC).strftime("%Y%m%d%H")
        self._loop = asyncio.get_running_loop()
        self._answers = answers
        self._news: asyncio.Queue[Any] = asyncio.Queue()
        self.paho = Paho(CallbackAPIVersion.VERSION2, f"{METER}_0_0_{hour}", protocol=protocol)
        self.paho.username_pw_set(METER, sign(PRIMARY, hour).decode())
        self.paho.on_connect = lambda *_: self._note("connected")
        self.paho.on_subscribe = lambda *_: self._note("subscribed")
        self.paho.on_message = self._came_down
        self.paho.connect_async("127.0.0.1", console.rig.platform.mqtt_port, keepalive=60)

    async def next(self) -> Any:
        """Return what happened next: a message, or what the client has done."""
        async with asyncio.timeout(DEADLINE_S):
            return await self._news.get()

    async def came_down(self) -> list[bytes]:
        """Return the payloads that come before the platform answers what is asked of it now."""
        self.report("events/up", TIME_SYNC)
        payloads: list[bytes] = []
        while (news := await self.next()).topic != TOLD:
            payloads.append(news.payload)
        return payloads

    async def subscribe(self, *filters: tuple[str, int]) -> None:
        self.paho.subscribe(list(filters))
        assert await self.next() == "subscribed"

    def report(self, suffix: str, body: object) -> None:
        self.paho.publish(f"$oc/devices/{METER}/sys/{suffix}", json.dumps(body), 1)

    def _note(self, news: Any) -> None:
        self._loop.call_soon_threadsafe(self._news.put_nowait, news)

    def _came_down(self, client: Paho, _: Any, message: MQTTMessage) -> None:
        if self._answers is not None:
            client.publish(message.topic.replace("/request_id=", "/response/request_id="), self._answers(message))
        self._note(message)


@asynccontextmanager
async def device(console: Console, protocol: Any = MQTTv311, answers: Answers | None = None) -> AsyncIterator[Device]:
    """A device that has connected; its news are what comes after that, or before."""
    one = Device(console, protocol, answers)
    one.paho.loop_start()
    try:
        yield one
    finally:
        one.paho.disconnect()
        one.paho.loop_stop()


def message(text: object = "hello", device_id: str = METER, **fields: Any) -> Call:
    request = sdk.CreateMessageRequest(device_id=device_id)
    request.body = sdk.DeviceMessageRequest(message=text, **fields)
    return lambda client: client.create_message(request)


def show_message(message_id: str, device_id: str = METER) -> Call:
    request = sdk.ShowDeviceMessageRequest(device_id=device_id, message_id=message_id)
    return lambda client: client.show_device_message(request)


def delete_message(message_id: str) -> Call:
    request = sdk.DeleteDeviceMessageRequest(device_id=METER, message_id=message_id)
    return lambda client: client.delete_device_message(request)


def messages(device_id: str = METER) -> Call:
    return lambda client: client.list_device_messages(sdk.ListDeviceMessagesRequest(device_id=device_id))


def command(device_id: str = METER, **fields: Any) -> Call:
    request = sdk.CreateCommandRequest(device_id=device_id)
    request.body = sdk.DeviceCommandRequest(**fields)
    return lambda client: client.create_command(request)


def properties(service_id: str | None = "Battery", device_id: str = METER) -> Call:
    request = sdk.ListPropertiesRequest(device_id=device_id, service_id=service_id)
    return lambda client: client.list_properties(request)


def set_properties(services: object, device_id: str = METER) -> Call:
    request = sdk.UpdatePropertiesRequest(device_id=device_id)
    request.body = sdk.DevicePropertiesRequest(services=services)
    return lambda client: client.update_properties(request)


@pytest.fixture
async def console(tmp_path: Path) -> AsyncIterator[Console]:
    async with running(tmp_path) as rig:
        console = Console(rig)
        await console(create(auth_info=sdk.AuthInfo(secret=PRIMARY)))
        yield console


@BOTH_PROTOCOLS
@pytest.mark.parametrize(
    "filters", [[], [("#", 1), (f"$oc/devices/{METER}/#", 1), (DOWN, 0)]], ids=["no subscription", "wildcards"]
)
async def test_message_comes_once_however_the_device_subscribes(
    console: Console, protocol: Any, filters: list[tuple[str, int]]
) -> None:
    async with device(console, protocol) as one:
        assert await one.next() == "connected"
        if filters:
            await one.subscribe(*filters)
        sent = await console(message("once", name="greeting"))
        (got,) = await one.came_down()
    assert (sent.status_code, sent.result.status) == (201, "DELIVERED")
    assert json.loads(got) == {"name": "greeting", "id": sent.message_id, "content": "once"}


@BOTH_PROTOCOLS
@pytest.mark.parametrize("subscribes", [False, True])
async def test_messages_for_a_device_that_is_away_come_once_and_in_order(
    console: Console, protocol: Any, subscribes: bool
) -> None:
    pending = [await console(message(str(number), payload_format="raw")) for number in range(3)]
    assert {one.result.status for one in pending} == {"PENDING"}
    for expected in ([b"0", b"1", b"2"], []):
        async with device(console, protocol) as one:
            got = [await one.next() for _ in range(1 + len(expected))]
            if subscribes:
                await one.subscribe((f"$oc/devices/{METER}/sys/#", 1))
            assert await one.came_down() == []
        assert [news.payload for news in got if news != "connected"] == expected
    listed = await console(messages())
    assert [kept.message_id for kept in listed.messages] == [one.message_id for one in pending]
    assert {kept.status for kept in listed.messages} == {"DELIVERED"}


async def test_message_is_shown_and_deleted_by_its_id(console: Console) -> None:
    await console(message({"a": 1}, message_id="m-1", name="n", payload_format="raw", topic="news", ttl=5))
    shown = await console(show_message("m-1"))
    assert (shown.message_id, shown.name, shown.message, shown.status) == ("m-1", "n", {"a": 1}, "PENDING")
    assert (shown.encoding, shown.payload_format, shown.topic) == ("none", "raw", f"$oc/devices/{METER}/user/news")
    assert shown.created_time
    assert (await console(show_message("m-2"))).message_id is None
    assert (await console(delete_message("m-1"))).status_code == 204
    assert (await console(messages())).messages == []


async def test_custom_topic_and_its_properties_reach_a_subscriber_only(console: Console) -> None:
    async with device(console, MQTTv5) as one:
        assert await one.next() == "connected"
        assert (await console(message(message_id="early", topic_full_name="all/news"))).result.status == "FAILED"
        assert (await console(show_message("early"))).error_info.error_code == "IOTDA.014112"
        await one.subscribe(("all/+", 1))
        wanted = sdk.PropertiesDTO(
            correlation_data="c-1",
            response_topic="answers",
            user_properties=[sdk.UserPropDTO(prop_key="k", prop_value="v")],
        )
        await console(message("aGk=", encoding="base64", topic_full_name="all/news", properties=wanted))
        got = await one.next()
    assert (got.topic, got.payload, got.qos) == ("all/news", b"hi", 1)
    assert (got.properties.CorrelationData, got.properties.ResponseTopic) == (b"c-1", "answers")
    assert got.properties.UserProperty == [("k", "v")]


@BOTH_PROTOCOLS
@pytest.mark.parametrize("subscribes", [False, True])
async def test_device_answers_commands_and_properties_and_is_asked_once(
    console: Console, protocol: Any, subscribes: bool
) -> None:
    said = {"result_code": 3, "paras": {"why": "busy"}}
    services = [{"service_id": "Battery", "properties": {"level": 80}}]
    async with device(console, protocol, lambda _: json.dumps(said).encode()) as one:
        assert await one.next() == "connected"
        if subscribes:
            await one.subscribe((f"$oc/devices/{METER}/sys/#", 1), (f"$oc/devices/{METER}/sys/commands/#", 1))
        ordered = await console(command(service_id="Switch", command_name="ON", paras={"value": "1"}))
        asked = await console(properties())
        changed = await console(set_properties(services))
        got = [await one.next() for _ in range(3)]
    prefix = f"$oc/devices/{METER}/sys"
    assert [(news.topic, json.loads(news.payload)) for news in got] == [
        (
            f"{prefix}/commands/request_id={ordered.command_id}",
            {"command_name": "ON", "paras": {"value": "1"}, "service_id": "Switch"},
        ),
        (f"{prefix}/properties/get/request_id={asked.request_id}", {"service_id": "Battery"}),
        (f"{prefix}/properties/set/request_id={changed.request_id}", {"services": services}),
    ]
    for answer in (ordered, asked, changed):
        assert (answer.status_code, answer.response, answer.error_code) == (200, said, None)


async def test_silent_device_is_no_exception_but_an_error_code(tmp_path: Path) -> None:
    async with running(tmp_path, answer_timeout_s=0.01) as rig:
        console = Console(rig)
        await console(create(auth_info=sdk.AuthInfo(secret=PRIMARY)))
        async with device(console) as one:
            assert await one.next() == "connected"
            for call in (command(paras={}), properties(), set_properties([])):
                answer = await console(call)
                assert (answer.status_code, answer.error_code) == (200, "IOTDA.014111")
                assert answer.error_msg.startswith("Command request timed out.")
                assert answer.response is None


async def test_device_learns_the_time_and_shows_its_versions(console: Console) -> None:
    async with device(console) as one:
        assert await one.next() == "connected"
        versions = {"device_sdk_version": "Python_v1.2.0", "sw_version": "v2", "fw_version": "v3"}
        told = {"service_id": "$sdk_info", "event_type": "sdk_info_report", "paras": versions}
        one.report("events/up", {"object_device_id": METER, "services": [told, ASK_TIME]})
        (service,) = json.loads((await one.next()).payload)["services"]
        shown = await console(show())
    assert (service["event_type"], service["paras"]["device_send_time"]) == ("time_sync_response", 12)
    assert (shown.device_sdk_version, shown.sw_version, shown.fw_version) == tuple(versions.values())


NO_DEVICE = (404, "IOTDA.014000", "The device does not exist.")
AWAY = (403, "IOTDA.014016", "The device is not online.")
REFUSALS: list[tuple[Call, tuple[int, str, str]]] = [
    (message(device_id="nobody"), NO_DEVICE),
    (messages("nobody"), NO_DEVICE),
    (show_message("m", "nobody"), NO_DEVICE),
    (command("nobody", paras={}), NO_DEVICE),
    (properties(device_id="nobody"), NO_DEVICE),
    (set_properties([], "nobody"), NO_DEVICE),
    (command(paras={}), AWAY),
    (properties(), AWAY),
    (set_properties([]), AWAY),
    (message(None), (400, "IOTDA.000006", "Invalid input data. message:")),
    (message(message_id="taken"), (400, "IOTDA.000006", "Invalid input data. message_id:")),
    (message(ttl=7), (400, "IOTDA.000006", "Invalid input data. ttl:")),
    (message("?", encoding="base64"), (400, "IOTDA.000006", "Invalid input data. message:")),
    (message(topic="a", topic_full_name="b"), (400, "IOTDA.000006", "Invalid input data.")),
    (message(topic_full_name="$oc/devices/other/sys/x"), (400, "IOTDA.000006", "Invalid input data. topic_full_name:")),
    (message("x" * (256 << 10)), (400, "IOTDA.000006", "Invalid input data. message:")),
    (message("x" * (384 << 10)), (413, "IOTDA.000008", "Invalid input.")),
    (command(paras="text"), (400, "IOTDA.000006", "Invalid input data. paras:")),
    (properties(None), (400, "IOTDA.000006", "Invalid input data. service_id:")),
    (set_properties(None), (400, "IOTDA.000006", "Invalid input data. services")),
]


async def test_refusals_are_told_by_their_codes_and_texts(console: Console) -> None:
    await console(message(message_id="taken"))
    for call, (status, code, text) in REFUSALS:
        found = await console.refused(call)
        assert found[:2] == (status, code), found
        assert found[2].startswith(text), found
    await console(freeze())
    assert (await console.refused(command(paras={})))[:2] == AWAY[:2]
    assert (await console(message())).result.status == "PENDING"
