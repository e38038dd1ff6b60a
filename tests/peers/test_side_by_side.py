"""Two platforms of one machine on the same fixed ports: a loopback address of its own each, as real devices need it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.peers.device_programs import MQTT_PORT, DeviceProgram, own_host, switched_on
from tests.support.commands import PlatformProcess, keyturn, serving

pytestmark = pytest.mark.peer

HTTP_PORT = 8883
"""The other port that the vendor's devices know: here it is as good as any."""

SCENARIO = """
name: side by side
settle: 1s
platform: {kind: remote, api: API}
fleets: {meters: {devices: NAME.csv}}
timeline:
  - {id: up, start: [meters], until: "recovered == 100%"}
  - {id: rotate, reset_secret: {fleet: meters, slot: primary, force_disconnect: true}}
expect: ["rotate: refused == 1"]
"""


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[tuple[PlatformProcess, PlatformProcess]]:
    """Platforms on two addresses, with the same ports, and a database each."""
    ports = ("--mqtt-port", str(MQTT_PORT), "--http-port", str(HTTP_PORT))
    async with AsyncExitStack() as stack:
        one, other = [
            await stack.enter_async_context(serving("--host", own_host(), *ports, "--db", tmp_path / f"{name}.db"))
            for name in ("one", "other")
        ]
        yield one, other


async def test_ports_are_the_same_and_the_addresses_differ(both: tuple[PlatformProcess, PlatformProcess]) -> None:
    for platform in both:
        assert (platform.mqtt_port, platform.http_port) == (MQTT_PORT, HTTP_PORT)
        assert platform.ready["mqtt"]["host"] == platform.ready["http"]["host"]
    assert len({platform.api for platform in both}) == 2


async def test_device_of_the_same_name_is_another_one_on_each(
    both: tuple[PlatformProcess, PlatformProcess], stand_in: DeviceProgram
) -> None:
    one, other = both
    async with AsyncExitStack() as stack:
        for platform, secret in ((one, "secret-on-one"), (other, "secret-on-other")):
            await provision(platform, secret)
            host = platform.ready["mqtt"]["host"]
            await stack.enter_async_context(switched_on(stand_in, host, "meter", secret))
        for platform in both:
            await online(platform)
        body = {"secret": "another-on-one", "force_disconnect": True}
        await call(one, "POST", "/v5/iot/p/devices/meter/action?action_id=resetSecret", body)
        assert (await call(one, "GET", "/_platform"))["sessions"] == 0
        statistics = await call(other, "GET", "/_platform/statistics")
    assert (statistics["online"], statistics["resets"], sum(statistics["refused"].values())) == (1, 0, 0)


async def test_runs_against_both_at_once_do_not_meet(
    both: tuple[PlatformProcess, PlatformProcess], tmp_path: Path
) -> None:
    async def run(platform: PlatformProcess, name: str) -> str:
        (tmp_path / f"{name}.csv").write_text(f"device_id,primary,secondary\nmeter,primary-{name},secondary-{name}\n")
        scenario = tmp_path / f"{name}.yaml"
        scenario.write_text(SCENARIO.replace("API", f"'{platform.api}'").replace("NAME", name))
        ended = await asyncio.to_thread(keyturn, "run", scenario, "--report", tmp_path / name, cwd=tmp_path)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return (tmp_path / name / "platform.jsonl").read_text()

    async with asyncio.TaskGroup() as tasks:
        runs = [
            tasks.create_task(run(platform, name), name=name) for platform, name in zip(both, ("A", "B"), strict=True)
        ]
    for task in runs:
        records = list(map(json.loads, task.result().splitlines()))
        assert [one["kind"] for one in records].count("reset") == 1
        assert {one["device"] for one in records if "device" in one} == {"meter"}


async def provision(platform: PlatformProcess, secret: str) -> None:
    await call(platform, "POST", "/_platform/devices", {"device_id": "meter", "primary": secret})


async def online(platform: PlatformProcess) -> None:
    """Wait until one device is online."""
    async with asyncio.timeout(10.0):
        while not (await call(platform, "GET", "/_platform"))["sessions"]:
            pass


async def call(platform: PlatformProcess, method: str, path: str, body: object = None) -> dict[str, Any]:
    async with aiohttp.ClientSession(platform.api) as http, http.request(method, path, json=body) as answer:
        assert answer.status == 200, await answer.text()
        return dict(await answer.json())
