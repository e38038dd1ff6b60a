"""A line loses a fifth of all datagrams, each way: who knows its key registers, and no right key is called wrong."""

import time
from itertools import count

import pytest

from tests.soak.lossy_line import LossyDevice, LossyLine
from tests.soak.settings import ROOM_S
from wire.dtls import End

GIVE_UP_S = 90.0
SEEDS, DEVICES, STRANGERS = (1, 2, 3), 60, 20
"""Of each seed so many devices that know their keys, and so many that do not, all at once."""

pytestmark = [pytest.mark.soak, pytest.mark.timeout(GIVE_UP_S + ROOM_S)]

KEY, WRONG_KEY = bytes(range(16)), bytes(range(1, 17))


def test_lost_datagrams_cost_time_and_no_verdict_on_a_key() -> None:
    ports = count(1)
    devices = [
        LossyDevice(
            f"{seed}/{number}",
            ("127.0.0.1", next(ports)),
            KEY if number < DEVICES else WRONG_KEY,
            knows_its_key=number < DEVICES,
        )
        for seed in SEEDS
        for number in range(DEVICES + STRANGERS)
    ]
    line = LossyLine(devices, {one.name.encode(): KEY for one in devices})
    started = time.monotonic()
    line.run(GIVE_UP_S)
    print(f"{time.monotonic() - started:.0f} s, {sum(one.lost for one in devices)} datagrams lost")
    owners = [one for one in devices if one.knows_its_key]
    strangers = [one for one in devices if not one.knows_its_key]
    assert [one.name for one in owners if not one.is_registered] == []
    assert [one.name for one in owners if End.WRONG_KEY in (*one.ends, *line.ends[one.name])] == []
    assert [one.name for one in strangers if one.was_open] == []
    assert {end for one in strangers for end in one.ends} <= {End.WRONG_KEY, End.TIMEOUT}
    assert {end for one in strangers for end in line.ends[one.name]} <= {End.WRONG_KEY, End.TIMEOUT}
    assert all(one.ends for one in strangers)
