"""A few devices under everybody's hands at once: what is true for one call at a time is true for all of them."""

import asyncio
import json
import os
from collections import Counter
from itertools import count
from pathlib import Path
from random import Random

import aiohttp
import pytest

from tests.broker.races.checker import violations
from tests.broker.races.crowd import Crowd
from tests.broker.races.facts import Facts, Record
from tests.support.commands import PlatformProcess, serving

DEVICES = ("r1", "r2", "r3")
SEED = int(os.environ.get("KEYTURN_RACES_SEED", "20"))
RACES_S, LONGEST_S = 5.0, 30.0
"""A busy machine takes longer until enough has happened."""


async def stress(platform: PlatformProcess, seed: int) -> Facts:
    """Let the crowds at the devices for a while."""
    facts, rng, addresses = Facts(), Random(seed), count(256)
    ports = platform.mqtt_port, platform.http_port
    crowds = [Crowd(device_id, *ports, facts, Random(rng.random())) for device_id in DEVICES]
    lines = "\n".join(json.dumps(crowd.provisioned()) for crowd in crowds)
    async with aiohttp.ClientSession(platform.api) as http:
        headers = {"Content-Type": "application/x-ndjson"}
        async with http.post("/_platform/devices", data=lines.encode(), headers=headers) as answer:
            assert answer.status == 200
        loop = asyncio.get_running_loop()
        begun = loop.time()

        def goes_on() -> bool:
            passed_s = loop.time() - begun
            return passed_s < RACES_S or (passed_s < LONGEST_S and not enough(facts))

        async with asyncio.TaskGroup() as tasks:
            for crowd in crowds:
                crowd.run(tasks, goes_on, addresses)
        async with http.get("/_platform/statistics") as answer:
            assert (await answer.json())["internal_errors"] == 0
    return facts


@pytest.mark.parametrize("processes", [1, 2])
async def test_order_holds_whoever_races_whom(tmp_path: Path, processes: int) -> None:
    journal = tmp_path / "platform.jsonl"
    shares = ("--access-processes", str(processes))
    async with serving("--db", tmp_path / "k.db", "--journal", journal, *shares) as platform:
        facts = await stress(platform, SEED)
    records: list[Record] = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    found = violations(facts, records, side_by_side=processes > 1)
    assert not found, f"seed {SEED}, {len(found)} violations, the first: {found[:5]}"
    assert_that_it_was_a_race(facts, records)


def enough(facts: Facts) -> bool:
    """Nothing is shown by a run in which too little happened."""
    served = Counter(call.kind for call in facts.calls if call.is_served)
    let_in = sum(one.code == 0 for one in facts.attempts)
    refused = sum(bool(one.code) for one in facts.attempts)
    return served["reset"] > 100 and min(served["frozen"], served["deleted"]) > 4 and min(let_in, refused) > 100


def assert_that_it_was_a_race(facts: Facts, records: list[Record]) -> None:
    """Sessions were cut for every reason, and devices were heard in between."""
    cut = Counter(one["reason"] for one in records if one["kind"] == "detached")
    assert enough(facts)
    assert min(cut["forced_reset"], cut["take_over"]) > 20, cut
    assert cut["frozen"] + cut["deleted"] > 0, cut
    assert sum(len(one.acknowledged) for one in facts.attempts) > 100
