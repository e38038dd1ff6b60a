"""A platform in a process of its own, whose disk can be filled up from outside."""

import asyncio
import contextlib
import json
import resource
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.broker.rig import DEADLINE_S, PRIMARY, SECONDARY, Client, connect
from tests.support.commands import PlatformProcess, spawn_platform, until_ready
from wire.mqtt import ConnAck, PingReq, PingResp


class Subject:
    """A platform in a process of its own, and a client of its control API."""

    def __init__(self, platform: PlatformProcess, http: aiohttp.ClientSession) -> None:
        self.platform = platform
        self.http = http

    async def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        async with self.http.request(method, path, json=body) as answer:
            text = await answer.read()
            return answer.status, json.loads(text) if text else None

    async def get(self, path: str) -> dict[str, Any]:
        status, body = await self.call("GET", path)
        assert status == 200
        return dict(body)

    async def state(self) -> tuple[Any, ...]:
        """All that a change would change: the devices with their secrets and sessions, the journal's length."""
        devices = await self.get("/_platform/devices?secrets=true")
        return devices, await self.get("/_platform/sessions"), (await self.get("/_platform"))["journal_records"]

    async def provision(self, *device_ids: str) -> None:
        for device_id in device_ids:
            line = {"device_id": device_id, "primary": PRIMARY, "secondary": SECONDARY}
            assert (await self.call("POST", "/_platform/devices", line))[0] == 200

    async def verdict(self, secret: str, device_id: str = "d1") -> int:
        client, code = await self.log_in(secret, device_id)
        async with client:
            return code

    async def log_in(self, secret: str, device_id: str = "d1") -> tuple[Client, int]:
        client = await Client.open(self.platform.mqtt_port)
        client.send(connect(device_id, secret))
        answer = await client.receive()
        assert isinstance(answer, ConnAck)
        return client, answer.code

    async def until(self, is_so: Callable[[dict[str, Any]], bool]) -> None:
        """Ask for the statistics until they are so."""
        async with asyncio.timeout(DEADLINE_S):
            while not is_so(await self.get("/_platform/statistics")):
                await asyncio.sleep(0.05)

    def fill_disk(self, room: int = 0) -> None:
        """From now on no file grows beyond `room` bytes."""
        pid, (_, hard) = self.platform.process.pid, resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (room, hard))

    def make_room(self) -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.prlimit(self.platform.process.pid, resource.RLIMIT_FSIZE, (hard, hard))


@asynccontextmanager
async def running(*flags: str | Path, errors: int = asyncio.subprocess.DEVNULL) -> AsyncIterator[Subject]:
    process = await spawn_platform("--mqtt-port", "0", "--http-port", "0", *flags, errors=errors)
    try:
        platform = await until_ready(process)
        async with aiohttp.ClientSession(platform.api) as http:
            yield Subject(platform, http)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def is_served(client: Client) -> bool:
    client.send(PingReq())
    return await client.receive() == PingResp()


def is_internal_error(answer: tuple[int, Any]) -> bool:
    status, body = answer
    return (status, body["error_code"]) == (500, "IOTDA.000001")
