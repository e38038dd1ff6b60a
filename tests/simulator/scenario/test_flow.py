"""Waiting for a condition, and what it costs."""

import pytest

from simulator.scenario import flow
from tests.support.virtual_time import VirtualTime


@pytest.mark.parametrize(("look_s", "rest_s"), [(0.0, 0.1), (0.004, 0.1), (0.05, 1.0)])
async def test_condition_that_takes_long_is_looked_at_less_often(
    monkeypatch: pytest.MonkeyPatch, look_s: float, rest_s: float
) -> None:
    time, rests = VirtualTime(), list[float]()

    async def rest(seconds: float) -> None:
        rests.append(seconds)

    def look() -> bool:
        time.advance(look_s)
        return len(rests) == 3

    monkeypatch.setattr(flow.asyncio, "sleep", rest)
    monkeypatch.setattr(flow.asyncio, "get_running_loop", lambda: time)
    await flow.until(look)
    assert rests == pytest.approx([rest_s] * 3)
