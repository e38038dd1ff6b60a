"""A running platform that serves NB-IoT devices, with one of them and a clock that stands still."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.broker.lwm2m.nb_device import KEY
from tests.broker.rig import FakeClock, Rig, running


@pytest.fixture
async def rig(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Rig]:
    async with running(tmp_path, clock, coap_port=0, coaps_port=0) as rig:
        await rig.provision("m1", protocol="coap", primary=KEY, secondary=None)
        yield rig
