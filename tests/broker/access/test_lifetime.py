"""How long the listener holds on to a connection: no longer than it lasts, and not past its own stop."""

import asyncio
import gc
import socket
from collections.abc import Iterator

import pytest
import uvloop

from broker.access.listener import Link
from broker.server import Platform
from broker.settings import Settings
from tests.broker.rig import Rig
from tests.support.waiting import turns, until

STOP_WITHIN_S = 5.0


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def links() -> int:
    return sum(isinstance(one, Link) for one in gc.get_objects())


async def test_ended_session_is_freed_without_the_collector(rig: Rig, no_collector: None) -> None:
    async with await rig.login():
        assert links() == 1
    await rig.record("detached", device="d1")
    await until(lambda: not links(), "nothing is left of the link")


async def stop_with_a_client_on_its_way(turns_before: int) -> None:
    """Stop a platform that has a client, a number of turns after another one has begun to connect."""
    async with Platform(Settings(mqtt_port=0, http_port=0, linger_s=0.02, stuck_s=0.01)) as platform:
        address = ("127.0.0.1", platform.mqtt_port)
        _, online = await asyncio.open_connection(*address)
        with socket.create_connection(address):
            await turns(turns_before)
            async with asyncio.timeout(STOP_WITHIN_S):
                await platform.__aexit__(None, None, None)
    online.close()


@pytest.mark.parametrize("turns_before", range(5))
def test_client_that_comes_while_the_platform_stops_does_not_hold_it(turns_before: int) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(stop_with_a_client_on_its_way(turns_before))
