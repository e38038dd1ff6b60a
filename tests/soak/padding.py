"""Brings a platform's bounded memories to their bounds, so that what still grows afterwards is a leak."""

import asyncio

from broker.settings import Settings
from simulator.clock import SystemClock
from simulator.credentials import iotda_credentials
from simulator.ledger import Identity
from simulator.links.greeting import connect_packet
from simulator.links.link import Endpoint, LinkOptions
from wire.mqtt import PingReq, Publish

FOREIGN = "$oc/devices/nobody/" + "x" * 230
BATCH = 1000


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
