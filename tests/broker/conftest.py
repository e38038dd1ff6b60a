"""A running platform with one device."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.broker.rig import Rig, running


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running(tmp_path) as rig:
        await rig.provision("d1")
        yield rig
