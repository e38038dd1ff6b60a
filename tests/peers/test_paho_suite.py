"""An outside judge: what passes in eclipse/paho.mqtt.testing with mosquitto alone passes through an open gate too."""

import asyncio
import os
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.peers.general_clients import alone_scene, gate_scene

pytestmark = pytest.mark.peer

CHECKOUT_VARIABLE = "KEYTURN_PAHO_TESTING"
PROGRAM = Path(__file__).parent / "paho_suite.py"
MODULES = {"client_test": (), "client_test5": ("max_keepalive 60",)}
"""The suites, and what each wants the broker to be set to."""

AT_A_TIME = 12
WITHIN_S = 45.0
"""Some tests wait for ever for what does not come; the longest of the others waits for 20 s in all."""


@pytest.fixture
def checkout() -> str:
    found = os.environ.get(CHECKOUT_VARIABLE)
    if not found:
        pytest.skip(f"{CHECKOUT_VARIABLE} names no checkout of eclipse/paho.mqtt.testing")
    return found


@pytest.mark.timeout(600)
@pytest.mark.parametrize("module", MODULES, ids=["3.1.1", "5"])
async def test_gate_shows_what_the_broker_alone_shows(tmp_path: Path, checkout: str, module: str) -> None:
    _, listed = await run(checkout, module)
    names = listed.split()
    assert names, listed
    room = asyncio.Semaphore(AT_A_TIME)
    async with AsyncExitStack() as opening, asyncio.TaskGroup() as tasks:
        scenes = {
            (where, name): await opening.enter_async_context(scene(tmp_path / where / name, lines=MODULES[module]))
            for name in names
            for where, scene in {"alone": alone_scene, "gate": gate_scene}.items()
        }  # all of them first: a platform that starts would hold up the others in this loop
        said = {
            one: tasks.create_task(judge(scene.port, checkout, module, one[1], room)) for one, scene in scenes.items()
        }
    passed = {where: {name for name in names if said[where, name].result() is None} for where in ("alone", "gate")}
    report = "\n".join(f"{where} {name}: {said[where, name].result() or 'passed'}" for where, name in said)
    (tmp_path / "report.txt").write_text(report, encoding="utf-8")
    assert passed["alone"], report
    assert passed["gate"] >= passed["alone"], report


async def judge(port: int, checkout: str, module: str, name: str, room: asyncio.Semaphore) -> str | None:
    """Run one test; returns what it failed with."""
    async with room:
        failed, said = await run(checkout, module, str(port), name)
    return said.strip() if failed else None


async def run(*arguments: str) -> tuple[bool, str]:
    """Run the program; tells whether it failed, and what it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, PROGRAM, *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(WITHIN_S):
            said, _ = await process.communicate()
    except TimeoutError:
        return True, f"not over within {WITHIN_S:.0f} s"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode != 0, said.decode()
