"""The control API called by the core of the vendor's own SDK, as it comes from PyPI, which signs every request."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest

from broker.clock import SystemClock
from tests.broker.rig import Rig, running

pytestmark = [
    pytest.mark.peer,
    pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning"),  # of the SDK, from Python 3.12 on
]

SIGNED = json.loads((Path(__file__).parents[1] / "vectors/aksk.json").read_text())
ACCESS_KEY, SECRET_KEY = "AKPEER0123456789", "sk-peer-0123456789abcdefghijklmnopqrst"
STALE_S = 15 * 60 + 30
RESET = "/v5/iot/{project_id}/devices/{device_id}/action"

BOTH_ALGORITHMS = pytest.mark.parametrize("derived", [False, True], ids=["SDK-HMAC-SHA256", "V11-HMAC-SHA256"])

Call = Callable[..., Any]


@pytest.fixture
def clock() -> SystemClock:
    return SystemClock()


@pytest.fixture
async def rig(tmp_path: Path, clock: SystemClock) -> AsyncIterator[Rig]:
    settings = {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY, "project_id": "p1", "instance_id": "i-1"}
    async with running(tmp_path, clock, **settings) as rig:
        yield rig


@contextmanager
def sdk(rig: Rig, *, derived: bool, secret_key: str = SECRET_KEY, project_id: str = "p1") -> Iterator[Call]:
    """Set the SDK up as the vendor's manual says, but for the region's address: plain HTTP on loopback."""
    from huaweicloudsdkcore.auth.credentials import BasicCredentials
    from huaweicloudsdkcore.client import Client, ClientBuilder
    from huaweicloudsdkcore.region.region import Region
    from huaweicloudsdkcore.sdk_response import SdkResponse

    class Answer(SdkResponse):
        openapi_types: ClassVar[dict[str, str]] = {}  # no fields of its own: the tests look at the body

    credentials = BasicCredentials(ACCESS_KEY, secret_key, project_id)
    if derived:
        credentials.with_derived_predicate(BasicCredentials.get_default_derived_predicate())
    builder = ClientBuilder(Client)._with_derived_auth_service_name("iotdm").with_credentials(credentials)
    client = builder.with_region(Region("cn-north-4", f"http://127.0.0.1:{rig.platform.http_port}")).build()
    try:
        yield partial(client.do_http_request, response_type=Answer)
    finally:
        client.close()


async def provision(call: Call) -> None:
    line = '{"device_id": "d1", "primary": "primary-secret-1"}'
    kind = {"Content-Type": "application/x-ndjson"}
    answer = await asyncio.to_thread(call, "POST", "/_platform/devices", header_params=kind, body=line)
    assert answer.to_json_object() == {"provisioned": 1}


async def reset(call: Call, instance_id: str = "i-1") -> Any:
    return await asyncio.to_thread(
        call,
        "POST",
        RESET,
        path_params={"device_id": "d1"},
        query_params=[("action_id", "resetSecret")],
        header_params={"Instance-Id": instance_id},
        body={"secret": "secret-of-the-sdk", "force_disconnect": True},
    )


async def refusal(call: Call, instance_id: str = "i-1") -> tuple[int, str, str]:
    """Return status, code and message of the exception that the SDK makes of the platform's answer."""
    from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException

    with pytest.raises(ClientRequestException) as caught:
        await reset(call, instance_id)
    assert caught.value.request_id
    return caught.value.status_code, caught.value.error_code, caught.value.error_msg


@BOTH_ALGORITHMS
async def test_sdk_with_the_key_registers_resets_freezes_lists_and_deletes(rig: Rig, derived: bool) -> None:
    with sdk(rig, derived=derived) as call:
        await provision(call)
        assert (await reset(call)).to_json_object()["secret"] == "secret-of-the-sdk"
        path, device = "/v5/iot/{project_id}/devices/{device_id}", {"device_id": "d1"}
        frozen = await asyncio.to_thread(call, "POST", f"{path}/freeze", path_params=device)
        sessions = await asyncio.to_thread(
            call, "GET", "/_platform/sessions", query_params=[("device_id", "d 1/+ä~*"), ("a", "")]
        )
        assert sessions.to_json_object() == {"count": 0, "sessions": []}
        deleted = await asyncio.to_thread(call, "DELETE", path, path_params=device)
    assert frozen.status_code == deleted.status_code == 204
    assert [one["slot"] for one in rig.records("reset")] == ["primary"]


@BOTH_ALGORITHMS
async def test_sdk_with_another_secret_key_is_refused(rig: Rig, derived: bool) -> None:
    with sdk(rig, derived=derived, secret_key=f"{SECRET_KEY}x") as call:
        status, code, told = await refusal(call)
    assert (status, code) == (401, "APIGW.0301")
    assert told.endswith("verify aksk signature fail")
    assert rig.records("reset") == []


@BOTH_ALGORITHMS
async def test_sdk_whose_clock_is_slow_is_refused(rig: Rig, clock: SystemClock, derived: bool) -> None:
    clock.put_forward(STALE_S)
    with sdk(rig, derived=derived) as call:
        status, code, told = await refusal(call)
    assert (status, code) == (401, "APIGW.0301")
    assert "signature expired,server time:" in told


async def test_sdk_that_names_another_project_or_instance_is_refused(rig: Rig) -> None:
    with sdk(rig, derived=True, project_id="p2") as call:
        assert (await refusal(call))[:2] == (403, "IOTDA.000021")
    with sdk(rig, derived=True) as call:
        assert (await refusal(call, "i-2"))[:2] == (403, "IOTDA.000021")


@pytest.mark.parametrize("vector", SIGNED["vectors"], ids=lambda vector: f"{vector['name']}, {vector['derived']}")
def test_sdk_signs_the_golden_requests_as_they_stand(vector: dict[str, Any]) -> None:
    from huaweicloudsdkcore.auth.credentials import BasicCredentials
    from huaweicloudsdkcore.sdk_request import SdkRequest
    from huaweicloudsdkcore.signer.signer import DerivationAKSKSigner, Signer

    query = list(map(tuple, vector["query_params"]))
    headers, body = dict(vector["given"]), vector["body"].encode()
    request = SdkRequest(vector["method"], "http", SIGNED["host"], vector["path"], None, query, headers, body)
    credentials = BasicCredentials(SIGNED["access_key"], SIGNED["secret_key"], "p1")
    if vector["derived"]:
        DerivationAKSKSigner(credentials).sign(request, SIGNED["service"], SIGNED["region"])
    else:
        Signer(credentials).sign(request)
    assert {name: value.encode("latin-1").decode() for name, value in headers.items()} == vector["headers"]
    assert request.uri.partition("?")[2] == vector["query"]
