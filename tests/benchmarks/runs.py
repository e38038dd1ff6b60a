"""Measured runs: a fresh server and a fresh client for each, every one in a process of its own."""

import asyncio
import contextlib
import sys
from dataclasses import dataclass

import orjson

from tests.benchmarks.meter import NotReached, Result
from tests.benchmarks.servers import running

TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class Load:
    """A client (see `worker`), the server that it is measured against, and how many devices it plays."""

    client: str
    server: str
    devices: int

    def __str__(self) -> str:
        return f"{self.client} against {self.server}, {self.devices:,} devices"


async def measure(load: Load) -> Result:
    """Run once; NotReached, with the client's own words, when it did not come to its end."""
    async with running(load.server) as server:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.benchmarks.worker", load.client, str(load.devices)),
            *("--pid", str(server.pid), "--port", str(server.port), "--api", server.api),
            *("--mqtts", str(server.mqtts), "--coap", str(server.coap), "--coaps", str(server.coaps)),
            *("--engine", str(server.engine)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(TIMEOUT_S):
                said, complained = await process.communicate()
        except TimeoutError:
            raise NotReached(f"{load}: not done within {TIMEOUT_S:.0f} s") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode:
        raise NotReached(f"{load}: {complained.decode().strip()}")
    result: Result = orjson.loads(said)
    return result
