"""Schemathesis, which we did not write, holds a real platform against its description: on every route but two.

/_platform/shutdown would end the platform, and the journal's stream has no end. Devices are there beforehand, and one
is online and answers its commands, so that more is reached than "there is no such device". Two of its own checks
stand aside for those in tests/support/schemathesis_hooks.py, which know what no schema can say.
"""

import asyncio
import json
import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.broker.link import Link
from tests.broker.rig import Client, connect, running
from wire.mqtt import PubAck, Publish

DEVICES, NB_IOT = 400, 40
EXAMPLES = 6
WITHIN_S = 150
ROOT = Path(__file__).parents[3]
EXCLUDED = ("/_platform/shutdown", "/_platform/journal")
NEVER_TRIED = (*EXCLUDED, "/_platform/openapi.json")
"""Where it reads the description it tests nothing."""


async def answer_everything(client: Client) -> None:
    """Be a device that acknowledges what it is sent and answers its commands."""
    while True:
        with suppress(TimeoutError):
            packet = await client.receive()
            assert isinstance(packet, Publish)
            if packet.qos:
                client.send(PubAck(packet.packet_id or 0))
            topic, is_asked, request = packet.topic.partition("/request_id=")
            if is_asked:
                client.send(Publish(f"{topic}/response/request_id={request}", b'{"result_code": 0}'))


async def schemathesis(api: str, product: int, folder: Path) -> tuple[int, str, set[tuple[str, int]]]:
    """Run it; return its exit code, what it said, and which operations it saw answered with which statuses."""
    reached = folder / "reached"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{api}/_platform/openapi.json"),
        *(part for path in EXCLUDED for part in ("--exclude-path", path)),
        *("--generation-deterministic", "--max-examples", str(EXAMPLES), "--continue-on-failure", "--no-color"),
        *(
            "--exclude-checks",
            "positive_data_acceptance,not_a_server_error",
            "--request-timeout",
            "30",
            "--output-sanitize",
            "false",
        ),
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "SCHEMATHESIS_HOOKS": "tests.support.schemathesis_hooks",
            "KEYTURN_DEVICES": str(DEVICES),
            "KEYTURN_NB_IOT": str(NB_IOT),
            "KEYTURN_PRODUCT": str(product),
            "KEYTURN_REACHED": str(reached),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(WITHIN_S):
            said, _ = await process.communicate()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    calls = [tuple(json.loads(line)) for line in reached.read_text(encoding="utf-8").splitlines()]
    return process.returncode or 0, said.decode(), set(calls)


@pytest.mark.timeout(WITHIN_S + 60)
async def test_platform_is_as_it_describes_itself(tmp_path: Path) -> None:
    async with running(tmp_path) as rig, asyncio.TaskGroup() as tasks:
        described = (await rig.call("GET", "/_platform/openapi.json")).body["paths"]
        await rig.provision("online", "frozen", *(f"known-{number}" for number in range(DEVICES)))
        asleep = (f"nb-{number}" for number in range(NB_IOT))
        await rig.provision(*asleep, protocol="coap", primary="0123456789abcdef", secondary=None)
        assert (await rig.call("POST", "/v5/iot/p/devices/frozen/freeze")).status == 204
        link = Link(rig)
        product = (await link.product())["id"]
        await link.device(product)
        async with await rig.login(connect("online", keepalive=1200)) as client:
            device = tasks.create_task(answer_everything(client))
            code, said, reached = await schemathesis(f"http://127.0.0.1:{rig.platform.http_port}", product, tmp_path)
            assert code == 0, said
            assert (await rig.statistics())["internal_errors"] == 0
            device.cancel()
    succeeded = {operation for operation, status in reached if status < 300}
    operations = {f"{method.upper()} {path}" for path, item in described.items() for method in item}
    assert succeeded == {one for one in operations if not one.endswith(NEVER_TRIED)}
