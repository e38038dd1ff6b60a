"""A platform in hook mode with a broker in memory."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.broker.hooks.stand import Stand, standing


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    async with standing(tmp_path) as stand:
        yield stand
