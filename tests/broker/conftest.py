"""A running platform with one device; and no test that fails because the machine is busy."""

from collections.abc import AsyncIterator
from pathlib import Path

import hypothesis
import pytest

from tests.broker.rig import FakeClock, Rig, running

hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running(tmp_path) as rig:
        await rig.provision("d1")
        yield rig
