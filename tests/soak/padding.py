"""Brings a platform's bounded memories to their bounds, so that what still grows afterwards is a leak."""

import asyncio
import io

import aiohttp

from broker.settings import Settings
from simulator.clock import SystemClock
from simulator.credentials import iotda_credentials
from simulator.ledger import Identity
from simulator.links.greeting import connect_packet
from simulator.links.link import Endpoint, LinkOptions
from wire.mqtt import PingReq, Publish

FOREIGN = "$oc/devices/nobody/" + "x" * 230
BATCH = 1000
AT_ONCE = 110_000
TYPE = {"Content-Type": "application/x-ndjson"}


async def fill_the_ring(endpoint: Endpoint, intruder: Identity) -> None:
    """Make the platform journal as many records as it keeps, each as long as they get."""
    reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
    credentials = iotda_credentials(intruder.device_id, intruder.primary, SystemClock().utc())
    writer.write(connect_packet(credentials, LinkOptions()).encode())
    await reader.readexactly(4)
    batch = Publish(FOREIGN).encode() * BATCH + PingReq().encode()
    for _ in range(Settings().journal_ring // BATCH):
        writer.write(batch)
        await reader.readexactly(2)
    writer.close()
    await writer.wait_closed()


async def let_it_collect(api: str) -> None:
    """Make the platform's collector of cycles run: it waits for more objects than a short soak leaves behind.

    Many devices are to be provisioned, all of which it holds until the last of them turns out to be none.
    """
    lines = "".join(f'{{"device_id":"d{number}","primary":"never-a-device"}}\n' for number in range(AT_ONCE))
    body = io.BytesIO(f"{lines}{{}}".encode())
    async with aiohttp.ClientSession(api) as http, http.post("/_platform/devices", data=body, headers=TYPE) as answer:
        assert answer.status == 400, await answer.text()
