"""The two servers that clients are measured against, each in a process of its own."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from simulator.embedded import child_platform
from tests.support.mosquitto import mosquitto


@dataclass(frozen=True, slots=True)
class Server:
    """A running server; `api` is empty where there is no control API."""

    pid: int
    port: int
    api: str = ""


@asynccontextmanager
async def running(kind: str) -> AsyncIterator[Server]:
    """Run the keyturn platform (`platform`), or mosquitto, which lets everybody in (`mosquitto`)."""
    with tempfile.TemporaryDirectory(prefix="keyturn-figures-") as name:
        folder = Path(name)
        if kind == "platform":
            async with child_platform(folder / "platform.jsonl") as child:
                yield Server(child.pid, child.mqtt.port, child.api)
        else:
            async with mosquitto(folder) as broker:
                assert broker._process is not None, "it was started"
                yield Server(broker._process.pid, broker.port)
