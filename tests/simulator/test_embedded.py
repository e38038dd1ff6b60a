"""The local platform, as the simulator starts it."""

import asyncio
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from simulator.control import Control
from simulator.device.keyring import Slot
from simulator.embedded import EmbeddedPlatform, child_platform, in_loop_platform
from simulator.ledger import Identity

Start = Callable[[Path], AbstractAsyncContextManager[EmbeddedPlatform]]


@pytest.mark.parametrize("start", [child_platform, in_loop_platform])
async def test_platform_is_there_takes_devices_and_leaves_its_journal(start: Start, tmp_path: Path) -> None:
    journal = tmp_path / "platform.jsonl"
    async with start(journal) as platform, Control(platform.api) as control:
        assert (await control.provision([Identity("d1", "abcdefgh")])).ok
        answer = await control.reset_secret("d1", Slot.PRIMARY, secret="ijklmnop")
        assert answer.body == {"device_id": "d1", "secret": "ijklmnop", "secret_type": "PRIMARY"}
        _, writer = await asyncio.open_connection(platform.mqtt.host, platform.mqtt.port)
        writer.close()
        assert (platform.pid == os.getpid()) is (start is in_loop_platform)
    kinds = [line.split('"kind":"')[1].split('"')[0] for line in journal.read_text().splitlines()]
    assert (kinds[0], kinds[-1]) == ("header", "stopped")
    assert {"provisioned", "reset"} <= set(kinds)


async def test_child_is_gone_when_it_is_left(tmp_path: Path) -> None:
    async with child_platform(tmp_path / "platform.jsonl") as platform:
        os.kill(platform.pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(platform.pid, 0)


@pytest.mark.parametrize("start", [child_platform, in_loop_platform])
async def test_platform_serves_what_it_is_asked_for(start: Callable[..., Any], tmp_path: Path) -> None:
    async with start(tmp_path / "platform.jsonl", {"mqtt", "mqtts", "coaps"}) as platform:
        found = platform.endpoints
    assert None not in (found.mqtt, found.mqtts, found.coaps)
    assert found.coap is None
    assert found.ca.startswith("-----BEGIN CERTIFICATE-----")
