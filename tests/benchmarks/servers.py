"""The servers that clients are measured against, each in a process of its own."""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from simulator.control import Control
from simulator.embedded import child_platform
from simulator.links.link import Endpoint, Endpoints
from tests.support.mosquitto import mosquitto

MORE = {
    "platform": frozenset[str](),
    "tls": frozenset({"mqtts"}),
    "nb-iot": frozenset({"coap", "coaps"}),
    "amqtt": frozenset[str](),
}
"""What keyturn platforms serve beside MQTT in the clear."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server; `api` is empty where there is no control API. A port 0 is none.

    `engine`: the process behind it, that its sessions are relayed to; 0 where there is none.
    """

    pid: int
    port: int
    api: str = ""
    mqtts: int = 0
    coap: int = 0
    coaps: int = 0
    engine: int = 0

    async def endpoints(self, control: Control) -> Endpoints:
        """Where a fleet connects; whom it may trust is asked of the platform."""
        ports = {"mqtt": self.port, "mqtts": self.mqtts, "coap": self.coap, "coaps": self.coaps}
        found = {scheme: Endpoint("127.0.0.1", port) for scheme, port in ports.items()}
        return Endpoints(**found, ca=(await control.describe()).body["ca"] if self.mqtts else None)


@asynccontextmanager
async def running(kind: str) -> AsyncIterator[Server]:
    """Run the keyturn platform (`platform`; `tls`, `nb-iot`: with more ports), or a neighbour who lets everybody in."""
    with tempfile.TemporaryDirectory(prefix="keyturn-figures-") as name:
        folder = Path(name)
        if kind in MORE:
            engine = "amqtt" if kind == "amqtt" else "builtin"
            async with child_platform(folder / "platform.jsonl", MORE[kind], engine) as child:
                found = child.endpoints
                more = [one.port if one else 0 for one in (found.mqtts, found.coap, found.coaps)]
                yield Server(child.pid, child.mqtt.port, child.api, *more)
        elif kind.startswith("relay"):
            async with relayed(folder, over_tcp=kind == "relay-tcp") as server:
                yield server
        elif kind == "aiocoap":
            async with aiocoap_server() as (pid, port):
                yield Server(pid, 0, coap=port)
        else:
            async with mosquitto(folder) as broker:
                yield Server(broker.pid, broker.port)


@asynccontextmanager
async def relayed(folder: Path, *, over_tcp: bool) -> AsyncIterator[Server]:
    """Run the keyturn platform with mosquitto behind it."""
    path = folder / "mosquitto.sock"
    async with mosquitto(folder, lines=[f"listener 0 {path}"]) as broker:
        engine = f"mqtt://127.0.0.1:{broker.port}" if over_tcp else f"unix:{path}"
        async with child_platform(folder / "platform.jsonl", engine=engine) as child:
            yield Server(child.pid, child.mqtt.port, child.api, engine=broker.pid)


@asynccontextmanager
async def aiocoap_server() -> AsyncIterator[tuple[int, int]]:
    """Run aiocoap's server context in a process of its own; gives its process id and port."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.benchmarks.aiocoap_server"), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None, "opened as a pipe"
    try:
        yield process.pid, int(await process.stdout.readline())
    finally:
        process.terminate()
        await process.wait()
