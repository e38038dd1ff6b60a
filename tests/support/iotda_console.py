"""The vendor's own SDK of IoTDA as a caller of a running platform; who imports this is skipped where it is missing."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.broker.rig import Rig

sdk = pytest.importorskip("huaweicloudsdkiotda.v5", reason="pip install '.[peers]'")
credentials = pytest.importorskip("huaweicloudsdkcore.auth.credentials")
exceptions = pytest.importorskip("huaweicloudsdkcore.exceptions.exceptions")
region = pytest.importorskip("huaweicloudsdkcore.region.region")

PROJECT = "0" * 32
METER = "product_meter"

Call = Callable[[Any], Any]


class Console:
    """The SDK's client; it blocks, and so works beside the loop."""

    def __init__(self, rig: Rig) -> None:
        address = f"http://127.0.0.1:{rig.platform.http_port}"
        signed = credentials.BasicCredentials("access-key", "secret-key", PROJECT)
        signed.with_derived_predicate(credentials.DerivedCredentials.get_default_derived_predicate())
        self.rig = rig
        self._client = (
            sdk.IoTDAClient.new_builder()
            .with_credentials(signed)
            .with_region(region.Region("cn-north-4", address))
            .build()
        )

    async def __call__(self, call: Call) -> Any:
        return await asyncio.to_thread(call, self._client)

    async def refused(self, call: Call) -> tuple[int, str, str]:
        """Return what the SDK makes of a refusal: the status, the vendor's code and text."""
        with pytest.raises(exceptions.ClientRequestException) as caught:
            await self(call)
        assert caught.value.request_id.startswith(self.rig.platform.run)
        return caught.value.status_code, caught.value.error_code, caught.value.error_msg

    async def create(self, **fields: Any) -> Any:
        return await self(create(**fields))


def create(*, node_id: str = "meter", **fields: Any) -> Call:
    body = sdk.AddDevice(product_id="product", node_id=node_id, **fields)
    return lambda client: client.add_device(sdk.AddDeviceRequest(body=body))


def show(device_id: str = METER) -> Call:
    return lambda client: client.show_device(sdk.ShowDeviceRequest(device_id=device_id))


def freeze(device_id: str = METER) -> Call:
    return lambda client: client.freeze_device(sdk.FreezeDeviceRequest(device_id=device_id))
