"""What only the paho engine promises: no thread, nothing left for the collector, and no import without need."""

import asyncio
import gc
import subprocess
import sys
import threading

from simulator.links.engines import engine_named
from simulator.links.native import NativeEngine
from simulator.links.paho import Mqtt, PahoEngine
from tests.support.link_bench import link_bench
from tests.support.mqtt_server import accepting


def alive() -> set[int]:
    return {id(one) for one in gc.get_objects() if isinstance(one, Mqtt)}


def test_engine_is_named_by_the_scenario() -> None:
    assert engine_named("native") is NativeEngine
    assert engine_named("paho") is PahoEngine


def test_paho_is_not_imported_before_a_fleet_asks_for_it() -> None:
    look = "import sys, simulator.cli; sys.exit('paho' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", look], check=False).returncode == 0


async def test_link_has_no_thread_and_no_task() -> None:
    async with link_bench(PahoEngine, accepting) as bench:
        threads, tasks = threading.active_count(), len(asyncio.all_tasks())
        one = bench.open()
        await one.owner.accepted()
        assert threading.active_count() == threads
        assert len(asyncio.all_tasks() - bench.server.running) == tasks
        one.close()


async def test_link_that_ended_is_freed_without_the_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        before = alive()
        async with link_bench(PahoEngine, accepting) as bench:
            one = bench.open()
            await one.owner.accepted()
            assert len(alive() - before) == 1
            one.close()
            bench.opened.clear()
        assert alive() <= before
    finally:
        gc.enable()
