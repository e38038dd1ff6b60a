"""A platform whose control API is attacked serves its devices and its other callers as if nothing happened.

200 devices report while attackers send spoilt HTTP and leave requests half said; then more connections wait than the
platform lets wait.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from broker.control_api.http_connection import DEFAULT_BOUNDS
from simulator.clock import SystemClock
from simulator.control import Control
from simulator.embedded import child_platform
from simulator.limits import check_room
from simulator.links.link import Endpoint
from simulator.world import provision
from tests.soak.attackers import Attackers
from tests.soak.http_answers import HttpJudge
from tests.soak.http_attacks import HttpPlan
from tests.soak.http_requests import ROMA_ID, SLEEPER
from tests.soak.padding import fill_the_ring, let_it_collect
from tests.soak.settings import ROOM_S, SEED, SOAK_S
from tests.soak.victims import disturbances, intruders, victims_of
from tests.soak.vital_signs import Patient, Vitals, telling

pytestmark = [pytest.mark.soak, pytest.mark.timeout(SOAK_S * 1.5 + ROOM_S)]

VICTIMS = 200
WARM_UP, ATTACK = 0.35, 0.35
GROWTH_KB = 7_000
ASK_EVERY_S = 0.1
PATIENCE_S = 5.0
KEPT_ALIVE_S = 0.4
"""So long an attacker listens to a connection that the platform keeps open."""


async def attacked(attackers: Attackers, patient: Patient, api: str, seconds: float) -> tuple[Vitals, int]:
    """Attack while somebody asks the platform how it is; return how it is afterwards, and how often it answered."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds

    def goes_on() -> bool:
        return loop.time() < end

    async with asyncio.TaskGroup() as tasks:
        caller = tasks.create_task(call(api, goes_on), name="caller")
        await attackers.attack(goes_on)
    await let_it_collect(api)
    return await patient.calm(VICTIMS), caller.result()


async def call(api: str, goes_on: Callable[[], bool]) -> int:
    """Ask again and again, each time over a new connection; fails when an answer is late. Return how often."""
    answers = 0
    while goes_on():
        async with asyncio.timeout(PATIENCE_S), aiohttp.ClientSession(api) as http, http.get("/_platform") as answer:
            assert answer.status == 200
            answers += 1
        await asyncio.sleep(ASK_EVERY_S)
    return answers


async def crowd(api: Endpoint, patient: Patient, url: str) -> None:
    """Open more half-said requests than may wait; a caller must be served beside them."""
    async with AsyncExitStack() as opened:
        for number in range(DEFAULT_BOUNDS.max_waiting + 200):
            _, writer = await asyncio.open_connection(api.host, api.port, local_addr=(f"127.0.2.{number % 250 + 1}", 0))
            opened.callback(lambda one: one.transport.abort(), writer)
            writer.write(b"POST /_platform/devices HTTP/1.1\r\nContent-Length: 9\r\n\r\n"[: number % 50])
        once = iter((True, False))
        assert await call(url, lambda: next(once)) == 1
        assert patient.descriptors() < VICTIMS + DEFAULT_BOUNDS.max_waiting + 100


async def provision_beside(api: str) -> None:
    """Make what the attackers have of the other kinds of devices."""
    line = {"device_id": SLEEPER, "protocol": "coap", "primary": "0123456789abcdef"}
    product = {"name": "meters", "app_id": "a", "manufacturer_id": "m", "manufacturer_name": "m", "model": "m1"}
    device = {"product": {"product_id": ROMA_ID}, "device_name": "meter", "node_id": "m1", "app_id": "a"}
    link = "/v2/default/link/instances/default"
    async with aiohttp.ClientSession(api, raise_for_status=True) as http:
        await http.post("/_platform/devices", json=line)
        await http.post(f"{link}/products", json={**product, "product_type": 0, "protocol_type": 0})
        await http.post(f"{link}/devices", json=device)


async def test_attacked_control_api_disturbs_nobody_and_keeps_nothing(tmp_path: Path) -> None:
    check_room(VICTIMS + DEFAULT_BOUNDS.max_waiting + 200)
    own = intruders(20)
    async with child_platform(tmp_path / "platform.jsonl") as platform, Control(platform.api) as control:
        patient, judge = Patient(platform), HttpJudge()
        url = urlsplit(platform.api)
        api = Endpoint(url.hostname or "", url.port or 0)
        await provision(control, own)
        await provision_beside(platform.api)
        async with victims_of(platform.mqtt, control, tmp_path / "device.jsonl", VICTIMS, SEED) as victims:
            await victims.start()
            plan = HttpPlan(SEED, [one.device_id for one in own[1:]])
            attackers = Attackers(api, plan, SystemClock(), judge.heard, KEPT_ALIVE_S)
            with telling(attackers, patient):
                await fill_the_ring(platform.mqtt, own[0])
                before, _ = await attacked(attackers, patient, platform.api, SOAK_S * WARM_UP)
                after, answers = await attacked(attackers, patient, platform.api, SOAK_S * ATTACK)
                await crowd(api, patient, platform.api)
                await victims.start_the_latecomer()
                await victims.settle()
                print(f"seed {SEED}: {attackers.connections} connections, answered {dict(judge.statuses)}")
                print(f"{answers} answers to a caller beside them\nbefore {before}\nafter  {after}")
                assert judge.wrong == []
                assert patient.complaints() == ""
                assert disturbances(tmp_path, victims.device_ids) == {}
                assert victims.crashes == []
                assert (after.sessions, after.internal_errors) == (VICTIMS, 0)
                assert after.rss_kb - before.rss_kb < GROWTH_KB
