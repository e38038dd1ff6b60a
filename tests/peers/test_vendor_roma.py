"""ROMA LINK judged by the vendor's own SDK, and its devices played by paho and by mosquitto's clients."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client as Paho
from paho.mqtt.client import MQTTv5, MQTTv31, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.broker.link import OTHER, PASSWORD, USER_NAME
from tests.broker.rig import DEADLINE_S, Rig, running

sdk = pytest.importorskip("huaweicloudsdkroma.v2", reason="pip install '.[peers]'")
credentials = pytest.importorskip("huaweicloudsdkcore.auth.credentials")
exceptions = pytest.importorskip("huaweicloudsdkcore.exceptions.exceptions")
region = pytest.importorskip("huaweicloudsdkcore.region.region")

pytestmark = [
    pytest.mark.peer,
    pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning"),  # of the SDK, from Python 3.12 on
]

PROJECT, INSTANCE = "0" * 32, "00000000-0000-0000-0000-000000000001"
PRODUCTS_LOGIN = ("all-meters", "Open-Sesame-9999")

VERSIONS = pytest.mark.parametrize("version", [MQTTv31, MQTTv311, MQTTv5], ids=["3.1", "3.1.1", "5"])

Call = Callable[[Any], Any]


class Console:
    """The SDK's client; it blocks, and so works beside the loop."""

    def __init__(self, rig: Rig, project: str = PROJECT, instance: str = INSTANCE) -> None:
        address = f"http://127.0.0.1:{rig.platform.http_port}"
        signed = credentials.BasicCredentials("access-key", "secret-key", project)
        self.rig = rig
        self.instance = instance
        self._client = (
            sdk.RomaClient.new_builder()
            .with_credentials(signed)
            .with_region(region.Region("cn-north-4", address))
            .build()
        )

    async def __call__(self, name: str, body: Any = None, **ids: Any) -> Any:
        """Make a call of the SDK by the name that its method has."""
        request_type = getattr(sdk, "".join(part.title() for part in name.split("_")) + "Request")
        request = request_type(instance_id=self.instance, **({} if body is None else {"body": body}), **ids)
        return await asyncio.to_thread(getattr(self._client, name), request)

    async def refused(self, name: str, body: Any = None, **ids: Any) -> tuple[int, str, str]:
        """Return what the SDK makes of a refusal: the status, the vendor's code and text."""
        with pytest.raises(exceptions.ServiceResponseException) as caught:
            await self(name, body, **ids)
        error = caught.value
        assert error.request_id.startswith(f"{self.rig.platform.run}-")
        return error.status_code, error.error_code, error.error_msg

    async def product(self, name: str = "meters") -> Any:
        facts = {"manufacturer_id": "acme", "manufacturer_name": "Acme", "model": "m1"}
        body = sdk.CreateProductRequestBody(app_id="hall", name=name, product_type=0, protocol_type=0, **facts)
        return await self("create_product", body)

    async def device(self, product_id: int, **fields: Any) -> Any:
        return await self("create_device", new_device(product_id, **fields))


def new_device(product_id: int, **fields: Any) -> Any:
    known = {"device_name": "meter 7", "node_id": "m-7", "app_id": "hall", "user_name": USER_NAME, "password": PASSWORD}
    return sdk.CreateDeviceRequestBody(product=sdk.ProductReferer(product_id=product_id), **{**known, **fields})


@pytest.fixture
async def console(tmp_path: Path) -> AsyncIterator[Console]:
    async with running(tmp_path, project_id=PROJECT, instance_id=INSTANCE) as rig:
        yield Console(rig)


@pytest.fixture
async def device(console: Console) -> Any:
    """A device, whose product has the id 1 and a login of its own."""
    product = await console.product()
    user_name, password = PRODUCTS_LOGIN
    body = sdk.ResetProductAuthenticationRequestBody(user_name=user_name, password=password)
    await console("reset_product_authentication", body, product_id=product.id)
    return await console.device(product.id)


async def test_device_is_created_and_shown(console: Console, device: Any) -> None:
    assert device.status_code == 201
    assert (device.id, device.device_id, device.product.product_name) == (1, 1, "meters")
    assert device.client_id.startswith("D000000001")
    assert (device.authentication.user_name, device.authentication.password) == (USER_NAME, PASSWORD)
    assert (device.status, device.online_status, device.instance_id) == (0, 0, INSTANCE)
    shown = await console("show_device", device_id=device.id)
    assert (shown.status_code, shown.client_id, shown.created_datetime) == (
        200,
        device.client_id,
        device.created_datetime,
    )


async def test_authentication_is_reset_and_shown(console: Console, device: Any) -> None:
    body = sdk.ResetAuthenticationRequestBody(user_name="device01", password=OTHER)
    answer = await console("reset_authentication", body, device_id=device.id)
    assert (answer.status_code, answer.user_name, answer.password) == (200, "device01", OTHER)
    answer = await console("reset_authentication", sdk.ResetAuthenticationRequestBody(), device_id=device.id)
    assert answer.user_name == "device01"
    assert answer.password not in (OTHER, PASSWORD)
    shown = await console("show_authentication", device_id=device.id)
    assert (shown.user_name, shown.password) == (answer.user_name, answer.password)


async def test_product_is_shown_reset_and_deleted(console: Console, device: Any) -> None:
    shown = await console("show_product", product_id=1)
    assert (shown.name, shown.manufacturer_id, shown.model, shown.protocol_type) == ("meters", "acme", "m1", 0)
    login = await console("show_product_authentication", product_id=1)
    assert (login.user_name, login.password) == PRODUCTS_LOGIN
    assert (await console("delete_device", device_id=device.id)).status_code == 204
    assert (await console("delete_product", product_id=1)).status_code == 204


async def test_list_is_paged_and_filtered(console: Console, device: Any) -> None:
    for number in range(4):
        await console.device(1, node_id=f"n-{number}")
    page = await console("list_devices", limit=2, offset=1)
    assert (page.total, page.size, [one.id for one in page.items]) == (5, 2, [4, 3])
    found = await console("list_devices", node_id="m-7", product_id=1, online_status="0,2")
    assert [one.client_id for one in found.items] == [device.client_id]


async def test_device_is_updated(console: Console, device: Any) -> None:
    body = sdk.UpdateDeviceRequestBody(device_name="计量表", description="in the hall", status=1)
    updated = await console("update_device", body, device_id=device.id)
    assert (updated.status_code, updated.device_name, updated.description, updated.status) == (
        200,
        "计量表",
        "in the hall",
        1,
    )


def invalid(operation: str, parameter: str, processor: str) -> tuple[int, str, str]:
    where = f"Parameter is [{parameter}]. Processor is [{processor}]."
    return 400, "SCB.00000000", f"Parameter is not valid for operation [romalink.{operation}]. {where}"


NONE = (404, "ROMA.00110006", "The resource does not exist. Check whether the resource ID 9 is correct.")
UNFIT = sdk.ResetAuthenticationRequestBody(password="short")
SAME_NAME = sdk.CreateProductRequestBody("hall", "meters", "acme", "Acme", "m1", 0, None, 0)
RESET = "link-device.resetAuthentication"

REFUSALS: list[tuple[str, Any, dict[str, Any], tuple[int, str, str]]] = [
    ("reset_authentication", UNFIT, {"device_id": 1}, invalid(RESET, "request", "body")),
    ("reset_authentication", None, {"device_id": "x"}, invalid(RESET, "deviceOid", "path")),
    ("reset_authentication", None, {"device_id": 9}, NONE),
    ("show_authentication", None, {"device_id": 9}, NONE),
    ("show_device", None, {"device_id": 9}, NONE),
    ("delete_device", None, {"device_id": 9}, NONE),
    ("create_device", new_device(9), {}, NONE),
    ("create_device", new_device(1, node_id="a b"), {}, invalid("link-device.createDevice", "request", "body")),
    (
        "update_device",
        sdk.UpdateDeviceRequestBody(status=2),
        {"device_id": 1},
        invalid("link-device.updateDevice", "request", "body"),
    ),
    (
        "batch_freeze_devices",
        sdk.BatchFreezeDevicesRequestBody(["x"]),
        {},
        invalid("link-device.batchFreezeDevices", "request", "body"),
    ),
    ("list_devices", None, {"limit": 0}, invalid("link-device.listDevices", "limit", "query")),
    ("create_product", SAME_NAME, {}, invalid("link-product.createProduct", "request", "body")),
    ("show_product", None, {"product_id": "x"}, invalid("link-product.searchProductDetails", "product_id", "path")),
    ("delete_product", None, {"product_id": 1}, invalid("link-product.deleteProduct", "product_id", "path")),
    ("list_services", None, {}, (404, "SCB.00000000", "Not Found")),
]


async def test_refusals_are_told_by_their_codes_texts_and_request_ids(console: Console, device: Any) -> None:
    for name, body, ids, (status, code, text) in REFUSALS:
        found = await console.refused(name, body, **ids)
        assert found[:2] == (status, code), (name, found)
        assert found[2].startswith(text), (name, found)


async def test_instance_and_project_of_others_do_not_exist(console: Console) -> None:
    for project, instance in (("1" * 32, INSTANCE), (PROJECT, "another")):
        found = await Console(console.rig, project, instance).refused("show_device", device_id=1)
        assert found[:2] == (500, "ROMA.00110002")
        assert found[2] == f"The instance does not exist. project_id: {project}, instance_id: {instance}"


async def test_token_is_missed_in_the_sdks_requests(tmp_path: Path) -> None:
    async with running(tmp_path, token="open-sesame") as rig:
        found = await Console(rig).refused("reset_authentication", device_id=1)
    assert found == invalid(RESET, "X-Auth-Token", "header")


async def test_signature_of_the_sdk_is_taken(tmp_path: Path) -> None:
    async with running(tmp_path, access_key="access-key", secret_key="secret-key") as rig:
        assert (await Console(rig).product()).id == 1
    async with running(tmp_path, access_key="access-key", secret_key="another") as rig:
        assert (await Console(rig).refused("show_product", product_id=1))[:2] == (401, "APIGW.0301")


class Device:
    """A paho client on its own thread that notes its connects and its ends."""

    def __init__(self, rig: Rig, client_id: str, login: tuple[str, str], version: MQTTProtocolVersion) -> None:
        self._loop = asyncio.get_running_loop()
        self._news: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
        self.paho = Paho(CallbackAPIVersion.VERSION2, client_id, protocol=version, reconnect_on_failure=False)
        self.paho.username_pw_set(*login)
        self.paho.on_connect = lambda _client, _data, _flags, code, _more: self._note("connected", code.value)
        self.paho.on_disconnect = lambda _client, _data, _flags, code, _more: self._note("disconnected", code.value)
        self.paho.connect_async("127.0.0.1", rig.platform.mqtt_port, keepalive=60)

    def _note(self, what: str, code: int) -> None:
        self._loop.call_soon_threadsafe(self._news.put_nowait, (what, code))

    async def news(self) -> tuple[str, int]:
        async with asyncio.timeout(DEADLINE_S):
            return await self._news.get()


@asynccontextmanager
async def paho(
    rig: Rig, device: Any, login: tuple[str, str], version: MQTTProtocolVersion = MQTTv311
) -> AsyncIterator[Device]:
    client = Device(rig, device.client_id, login, version)
    client.paho.loop_start()
    try:
        yield client
    finally:
        client.paho.disconnect()
        client.paho.loop_stop()


@VERSIONS
async def test_paho_logs_in_with_either_password_and_not_with_another(
    console: Console, device: Any, version: MQTTProtocolVersion
) -> None:
    for login, slot in (((USER_NAME, PASSWORD), "primary"), (PRODUCTS_LOGIN, "product")):
        async with paho(console.rig, device, login, version) as client:
            assert await client.news() == ("connected", 0)
            assert (await console("show_device", device_id=1)).online_status == 1
            assert console.rig.records("accepted")[-1]["slot"] == slot
    for login in ((USER_NAME, OTHER), ("nobody", PASSWORD), (PRODUCTS_LOGIN[0], PASSWORD)):
        async with paho(console.rig, device, login, version) as client:
            assert await client.news() == ("connected", 0x86)
    assert [one["reason"] for one in console.rig.records("refused")] == [
        "wrong_password",
        "user_name_mismatch",
        "wrong_password",
    ]


@VERSIONS
async def test_paho_is_forced_offline_and_comes_back(
    console: Console, device: Any, version: MQTTProtocolVersion
) -> None:
    async with paho(console.rig, device, (USER_NAME, PASSWORD), version) as client:
        assert await client.news() == ("connected", 0)
        answer = await console("batch_freeze_devices", sdk.BatchFreezeDevicesRequestBody([device.id, 9]))
        assert [one.id for one in answer.success] == [device.id]
        assert [one.id for one in answer.failed] == [9]
        what, code = await client.news()
        assert what == "disconnected"
        assert version is not MQTTv5 or code == 0x98
    async with paho(console.rig, device, (USER_NAME, PASSWORD), version) as client:
        assert await client.news() == ("connected", 0)


@VERSIONS
async def test_paho_is_cut_and_barred_while_its_device_is_disabled(
    console: Console, device: Any, version: MQTTProtocolVersion
) -> None:
    async with paho(console.rig, device, PRODUCTS_LOGIN, version) as client:
        assert await client.news() == ("connected", 0)
        await console("update_device", sdk.UpdateDeviceRequestBody(status=1), device_id=device.id)
        assert (await client.news())[0] == "disconnected"
    async with paho(console.rig, device, PRODUCTS_LOGIN, version) as client:
        assert await client.news() == ("connected", 0x87)
    await console("update_device", sdk.UpdateDeviceRequestBody(status=0), device_id=device.id)
    async with paho(console.rig, device, PRODUCTS_LOGIN, version) as client:
        assert await client.news() == ("connected", 0)


async def test_paho_stays_through_a_reset_and_returns_with_the_new_password(console: Console, device: Any) -> None:
    async with paho(console.rig, device, (USER_NAME, PASSWORD)) as client:
        assert await client.news() == ("connected", 0)
        answer = await console("reset_authentication", None, device_id=device.id)
        assert client.paho.is_connected()
    async with paho(console.rig, device, (USER_NAME, PASSWORD)) as client:
        assert await client.news() == ("connected", 0x86)
    async with paho(console.rig, device, (answer.user_name, answer.password)) as client:
        assert await client.news() == ("connected", 0)


async def mosquitto(rig: Rig, device: Any, login: tuple[str, str], version: str) -> tuple[int, str]:
    """Log in with mosquitto_pub, publish one message and leave; returns the exit code and what it said."""
    user_name, password = login
    target = ["-h", "127.0.0.1", "-p", str(rig.platform.mqtt_port), "-d", "-V", version, "-i", device.client_id]
    message = ["-u", user_name, "-P", password, "-q", "1", "-t", f"/{device.client_id}/datas", "-m", "21.5"]
    process = await asyncio.create_subprocess_exec(
        "mosquitto_pub", *target, *message, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(DEADLINE_S):
        said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


@pytest.mark.skipif(shutil.which("mosquitto_pub") is None, reason="needs mosquitto-clients")
@pytest.mark.parametrize(
    ("version", "refused", "barred"),
    [("31", 4, 5), ("311", 4, 5), ("5", 0x86, 0x87)],
    ids=["3.1", "3.1.1", "5"],
)
async def test_mosquitto_logs_in_as_the_device(
    console: Console, device: Any, version: str, refused: int, barred: int
) -> None:
    for login in ((USER_NAME, PASSWORD), PRODUCTS_LOGIN):
        code, said = await mosquitto(console.rig, device, login, version)
        assert code == 0, said
        assert "received CONNACK (0)" in said
        assert "received PUBACK" in said
    code, said = await mosquitto(console.rig, device, (USER_NAME, OTHER), version)
    assert f"received CONNACK ({refused})" in said, said
    assert code != 0
    await console("update_device", sdk.UpdateDeviceRequestBody(status=1), device_id=device.id)
    code, said = await mosquitto(console.rig, device, (USER_NAME, PASSWORD), version)
    assert f"received CONNACK ({barred})" in said, said
    assert code != 0
