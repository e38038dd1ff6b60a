"""A platform under attack serves everybody else as if nothing happened, and holds on to nothing.

1,000 devices report while attackers send it spoilt MQTT of both versions, with and without a login of their own.
"""

import asyncio
from pathlib import Path

import pytest

from simulator.clock import SystemClock
from simulator.control import Control
from simulator.embedded import child_platform
from simulator.limits import check_room
from simulator.world import provision
from tests.soak.attackers import Attackers
from tests.soak.attacks import Plan
from tests.soak.padding import fill_the_ring
from tests.soak.settings import ROOM_S, SEED, SOAK_S
from tests.soak.victims import disturbances, intruders, victims_of
from tests.soak.vital_signs import Patient, Vitals, telling

pytestmark = [pytest.mark.soak, pytest.mark.timeout(SOAK_S * 1.5 + ROOM_S)]

VICTIMS = 1000
WARM_UP = 0.25
GROWTH_KB = 3_000
"""What the platform may have grown by after the warm-up, however many connections there were."""


async def attacked(attackers: Attackers, patient: Patient, seconds: float) -> Vitals:
    """Attack, wait until the attackers are gone, and look at what is left."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    await attackers.attack(lambda: loop.time() < end)
    return await patient.calm(VICTIMS)


async def test_attacked_platform_disturbs_nobody_and_keeps_nothing(tmp_path: Path) -> None:
    check_room(VICTIMS + 1)
    own = intruders(20)
    async with child_platform(tmp_path / "platform.jsonl") as platform, Control(platform.api) as control:
        patient = Patient(platform)
        await provision(control, own)
        async with victims_of(platform.mqtt, control, tmp_path / "device.jsonl", VICTIMS, SEED) as victims:
            await victims.start()
            attackers = Attackers(platform.mqtt, Plan(SEED, own, victims.device_ids), SystemClock())
            with telling(attackers, patient):
                await fill_the_ring(platform.mqtt, own[0])
                before = await attacked(attackers, patient, SOAK_S * WARM_UP)
                after = await attacked(attackers, patient, SOAK_S)
                await victims.start_the_latecomer()
                await victims.settle()
                print(f"seed {SEED}: {attackers.connections} connections, {attackers.inputs} spoilt packets")
                print(f"before {before}\nafter  {after}")
                assert patient.complaints() == ""
                assert disturbances(tmp_path, victims.device_ids) == {}
                assert victims.crashes == []
                assert (after.sessions, after.internal_errors) == (VICTIMS, 0)
                assert after.rss_kb - before.rss_kb < GROWTH_KB
