"""`kill -9` at any moment: what was acknowledged is there, and of the rest each change is there whole or not at all.

As many kills as there are twelfths of KEYTURN_SOAK's seconds, and five at least.
"""

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest

from broker.auth.registry import Secret
from simulator.journal import Record, read_journal
from tests.broker.rig import Client, connect
from tests.soak.bookkeeping import Books, Known
from tests.soak.settings import ROOM_S, SEED, SOAK_S
from tests.soak.writers import V5, Writer
from tests.support.commands import PlatformProcess, spawn_platform, until_ready
from wire.mqtt import ConnAck

KILLS = max(5, int(SOAK_S / 12))
WRITERS = 8
LONGEST_LIFE_S = 0.8
pytestmark = [pytest.mark.soak, pytest.mark.timeout(KILLS * 20 + ROOM_S)]


async def shown(http: aiohttp.ClientSession) -> dict[str, dict[str, Any]]:
    async with http.get("/_platform/devices?secrets=true") as answer:
        devices = {one["device_id"]: one for one in (await answer.json())["devices"]}
    for device_id, device in devices.items():
        async with http.get(f"{V5}/{device_id}") as answer:
            about = await answer.json()
        device.update({name: about.get(name) for name in ("device_name", "description")})
    return devices


async def verdict(platform: PlatformProcess, device_id: str, secret: str) -> int:
    async with await Client.open(platform.mqtt_port) as client:
        client.send(connect(device_id, secret))
        answer = await client.receive()
    assert isinstance(answer, ConnAck)
    return answer.code


async def check_secrets(platform: PlatformProcess, device: Known) -> None:
    """Secrets in force let the device in, unless it is frozen; the newest of the old ones do not."""
    current = [secret for _, secret in device.slots.values()]
    for secret in current:
        assert await verdict(platform, device.device_id, secret) == (5 if device.frozen else 0)
    for secret in device.retired[-3:]:
        assert await verdict(platform, device.device_id, secret) == 4


async def live_and_die(platform: PlatformProcess, writers: list[Writer], rng: Random) -> None:
    """Let everybody write; kill the platform in the middle."""
    async with aiohttp.ClientSession(platform.api) as http, asyncio.TaskGroup() as tasks:
        for writer in writers:
            tasks.create_task(writer.write(http))
        await asyncio.sleep(rng.uniform(0.0, LONGEST_LIFE_S))
        await platform.kill()


async def die_young(flags: list[str], rng: Random) -> None:
    """Kill a platform that has hardly begun, perhaps while it opens its database."""
    process = await spawn_platform(*flags)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(rng.uniform(0.0, 2.0)):
            await (await until_ready(process)).kill()
    assert process.returncode == -signal.SIGKILL


async def test_acknowledged_changes_survive_every_kill(tmp_path: Path) -> None:
    rng, books, journal = Random(SEED), Books(), tmp_path / "platform.jsonl"
    writers = [Writer(f"w{number}", books, Random(rng.random())) for number in range(WRITERS)]
    flags = ["--mqtt-port", "0", "--http-port", "0", "--db", str(tmp_path / "k.db"), "--journal", str(journal)]
    felt = 0
    print(f"seed {SEED}, {KILLS} kills")
    for kill in range(KILLS + 1):
        if kill % 5 == 4:
            await die_young(flags, rng)
        platform = await until_ready(await spawn_platform(*flags))
        try:
            async with aiohttp.ClientSession(platform.api) as http:
                assert books.compare(await shown(http)) == [], f"seed {SEED}, after kill {kill}"
            for device in rng.sample(list(books.devices.values()), 6):
                await check_secrets(platform, device)
            if kill < KILLS:
                await live_and_die(platform, writers, rng)
                felt += books.unanswered
        finally:
            with contextlib.suppress(ProcessLookupError):
                await platform.kill()
    print(f"{books.acknowledged} changes acknowledged, {felt} cut off")
    assert felt, "no kill was felt"
    check_journal(journal, books)


def check_journal(path: Path, books: Books) -> None:
    """A secret was journalled before it was acknowledged; the last line before a kill may be torn."""
    records, _torn = read_journal(path)
    told = {mark for record in records for mark in marks(record)}
    acknowledged = {(*about, Secret(secret, 0).fingerprint) for *about, secret in books.secrets}
    assert not acknowledged - told


def marks(record: Record) -> Iterator[tuple[str, str, int, str]]:
    """The secrets that a record tells of: device, slot, version, fingerprint."""
    if record["kind"] == "reset":
        yield record["device"], record["slot"], record["version"], record["fingerprint"]
    elif record["kind"] in ("created", "provisioned"):
        for slot in ("primary", "secondary"):
            if secret := record[slot]:
                yield record["device"], slot, secret["version"], secret["fingerprint"]
