"""Starts the local platform for the simulator: as a child process, or as the command `keyturn serve`.

The one module of the simulator that knows the platform's package.
"""

import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import orjson

from simulator.errors import KeyturnError
from simulator.links.link import Endpoint, Endpoints

READY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0


class PlatformFailed(KeyturnError):
    """The embedded platform did not come up; its own words are in the message."""


@dataclass(frozen=True, slots=True)
class EmbeddedPlatform:
    """A platform that lives as long as this run; `pid` is this process's own for one in its loop."""

    api: str
    endpoints: Endpoints
    pid: int

    @property
    def mqtt(self) -> Endpoint:
        assert self.endpoints.mqtt is not None, "every platform serves MQTT"
        return self.endpoints.mqtt


@asynccontextmanager
async def in_loop_platform(
    journal: Path | None = None, schemes: Set[str] = frozenset()
) -> AsyncIterator[EmbeddedPlatform]:
    """Run the platform in this very loop, for tests: up in milliseconds, on free loopback ports, nothing kept.

    `schemes`: what it serves beside mqtt, of mqtts, coap and coaps.
    """
    from broker.server import Platform  # the web framework takes a while to import
    from broker.settings import Settings

    more: dict[str, Any] = {f"{scheme}_port": 0 for scheme in schemes - {"mqtt"}}
    async with Platform(Settings(mqtt_port=0, http_port=0, journal=journal, **more)) as platform:
        api = f"http://127.0.0.1:{platform.http_port}"
        ports = {"mqtt": platform.mqtt_port, **platform.more_ports}
        told = {scheme: {"host": "127.0.0.1", "port": port} for scheme, port in ports.items()}
        endpoints = Endpoints.told(told, platform.ca.read_text() if platform.ca else None)
        yield EmbeddedPlatform(api, endpoints, os.getpid())


@asynccontextmanager
async def child_platform(
    journal: Path, schemes: Set[str] = frozenset(), engine: str = "builtin", engine_ca: Path | None = None
) -> AsyncIterator[EmbeddedPlatform]:
    """Run the platform in a child process on free loopback ports; it ends when we do, even if we are killed.

    `schemes`: what it serves beside mqtt, of mqtts, coap and coaps. `engine`: who carries what devices say to each
    other, as `keyturn serve` names it, and who vouches for it.

    Its database lives in a temporary folder, because it holds secrets; its journal, which does not, is kept.
    """
    with tempfile.TemporaryDirectory(prefix="keyturn-") as folder, (Path(folder) / "stderr").open("w+") as words:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "broker", "--mqtt-port", "0", "--http-port", "0", "--parent-pipe"),
            *("--db", str(Path(folder) / "platform.db"), "--journal", str(journal)),
            *(word for scheme in schemes - {"mqtt"} for word in (f"--{scheme}-port", "0")),
            *("--engine", engine, *(() if engine_ca is None else ("--engine-ca", str(engine_ca)))),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=words,
            start_new_session=True,  # Ctrl-C is for us: we stop the devices before the platform goes
        )
        try:
            yield await _ready(process, words)
        finally:
            await _stop(process)


async def _ready(process: asyncio.subprocess.Process, words: TextIO) -> EmbeddedPlatform:
    assert process.stdout is not None, "opened as a pipe"
    try:
        async with asyncio.timeout(READY_TIMEOUT_S):
            line = await process.stdout.readline()
        ready = orjson.loads(line)
        api, endpoints = ready["http"], Endpoints.told(ready, _text(ready.get("ca")))
    except (TimeoutError, orjson.JSONDecodeError, KeyError) as error:
        words.seek(0)
        raise PlatformFailed(f"the embedded platform did not start: {words.read().strip() or error}") from error
    return EmbeddedPlatform(f"http://{api['host']}:{api['port']}", endpoints, process.pid)


def _text(path: str | None) -> str | None:
    return None if path is None else Path(path).read_text()


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    assert process.stdin is not None, "opened as a pipe"
    process.stdin.close()
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def serve(arguments: Sequence[str]) -> int:
    """Run the platform alone, in this process, until it is told to stop; give its exit code."""
    from broker.__main__ import main  # the web framework takes a while to import, and only this command needs it

    return main(list(arguments))
