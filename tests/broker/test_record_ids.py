"""Ids that order by age."""

import re

from broker.record_ids import RecordIds
from tests.broker.rig import FakeClock


def test_ids_rise_whatever_the_clock_does() -> None:
    clock = FakeClock()
    ids = RecordIds(clock)
    taken = []
    for step_s in (0, 1, -3600, 0, 7200):
        clock.advance(step_s)
        taken.append(ids.take())
    assert taken == sorted(set(taken))
    assert all(re.fullmatch("[0-9a-f]{24}", one) for one in taken)
