"""Whole scenarios with a broker that we did not write behind the platform: the same verdict as with none."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import keyturn
from tests.support.mosquitto import mosquitto

pytestmark = [pytest.mark.peer, pytest.mark.scenario]

UP = """
name: A fleet and an engine that is not there
settle: 0s
fleets:
  meters: {count: 5}
timeline:
  - {id: up, start: [meters], until: "connected == 100%", timeout: 2s}
"""


def facts(folder: Path) -> dict[str, Any]:
    """What a run came to, without times."""
    results = json.loads((folder / "results.json").read_text())
    return {one["text"]: one["verdict"] for one in results["expectations"]}


async def test_rotation_comes_to_the_same_with_a_broker_behind(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker:
        engines = {"builtin": "builtin", "mosquitto": f"mqtt://127.0.0.1:{broker.port}"}
        for name, engine in engines.items():
            arguments = ("--engine", engine, "--report", str(tmp_path / name), "--set", "fleets.meters.count=40")
            ended = await asyncio.to_thread(keyturn, "run", "rotate-primary", *arguments, cwd=tmp_path)
            assert ended.returncode == 0, ended.stdout + ended.stderr
    assert facts(tmp_path / "mosquitto") == facts(tmp_path / "builtin")
    log = (tmp_path / "mosquitto.log").read_text()
    assert {f"keyturn_meters-{number:02}" for number in range(1, 41)} == set(re.findall(r" as (keyturn_\S+) ", log))


async def test_engine_that_is_not_there_is_nobodys_fault_but_its_own(tmp_path: Path) -> None:
    (tmp_path / "up.yaml").write_text(UP)
    arguments = ("--engine", f"unix:{tmp_path}/nobody.sock")
    ended = await asyncio.to_thread(keyturn, "run", "up.yaml", *arguments, cwd=tmp_path)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    records = map(json.loads, (tmp_path / "keyturn-report/platform.jsonl").read_text().splitlines())
    reasons = {(one["reason"], one["code"], one["detail"]) for one in records if one["kind"] == "refused"}
    assert reasons == {("engine_unavailable", 3, "No such file or directory")}
