"""The vendor's device over TLS 1.2 with the platform's CA file: the SDK itself, and the stand-in that CI can run."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.broker.rig import PRIMARY, running
from tests.peers.device_programs import MQTTS_PORT, DeviceProgram, own_host, switched_on
from tests.support.waiting import until

pytestmark = pytest.mark.peer

NEW = "secret-after-reset"
PATIENCE_S = 15.0


@asynccontextmanager
async def forwarded(host: str, port: int, to: int) -> AsyncIterator[None]:
    """Pass every byte from a port that the device takes on to the one that the platform has."""

    async def one_way(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
        writer.write_eof()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", to)
        await asyncio.gather(one_way(reader, there[1]), one_way(there[0], writer), return_exceptions=True)
        for one in (writer, there[1]):
            one.close()

    async with await asyncio.start_server(connected, host, port):
        yield


async def test_device_connects_verifies_us_and_comes_back_with_its_new_secret(
    tmp_path: Path, program: DeviceProgram
) -> None:
    host = own_host()
    async with running(tmp_path, mqtts_port=0) as rig:
        await rig.provision("d1", secure_access=True)
        async with (
            forwarded(host, MQTTS_PORT, rig.platform.more_ports["mqtts"]),
            switched_on(program, host, "d1", PRIMARY, rig.platform.ca) as device,
        ):
            await until(lambda: device.has_connected, "the first connect is over", PATIENCE_S)
            body = {"command_name": "blink", "service_id": "light", "paras": {"number": 1}}
            answer = await rig.call("POST", "/_platform/devices/d1/commands", body)
            assert answer.status == 200, answer
            assert (await rig.reset("d1", secret=NEW, force_disconnect=True)).status == 200
            device.issue(NEW)
            await until(lambda: len(rig.records("accepted")) == 2, "it is in again", PATIENCE_S)
    assert rig.records("accepted")[1]["version"] == 2
    assert rig.records("tls_failed") == []
