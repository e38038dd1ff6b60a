"""Runs keyturn's commands the way a person does: as processes of their own."""

import asyncio
import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

CHECKOUT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(CHECKOUT), "COLUMNS": "100", "NO_COLOR": "1"}
NONE: Mapping[str, str] = MappingProxyType({})
START_TIMEOUT_S = 30.0


def keyturn(
    *arguments: str | Path,
    cwd: Path,
    timeout: float = 90.0,
    largest_file: int | None = None,
    variables: Mapping[str, str] = NONE,
) -> subprocess.CompletedProcess[str]:
    """Run `keyturn …` to its end; `largest_file` (bytes) stands in for a disk that fills up."""

    def limit() -> None:
        if largest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

    return subprocess.run(
        [sys.executable, "-m", "simulator", *map(str, arguments)],
        cwd=cwd,
        env={**ENVIRONMENT, **variables},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        preexec_fn=limit,
    )


@dataclass
class PlatformProcess:
    """A platform started by `keyturn serve`."""

    process: asyncio.subprocess.Process
    ready: dict[str, Any]

    @property
    def api(self) -> str:
        return f"http://{self.ready['http']['host']}:{self.ready['http']['port']}"

    @property
    def mqtt_port(self) -> int:
        return int(self.ready["mqtt"]["port"])

    @property
    def http_port(self) -> int:
        return int(self.ready["http"]["port"])

    async def kill(self) -> None:
        """`kill -9`, and wait until it is gone."""
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()


async def start_platform(*flags: str | Path, variables: Mapping[str, str] = NONE) -> PlatformProcess:
    return await until_ready(await spawn_platform(*flags, variables=variables))


async def spawn_platform(
    *flags: str | Path, variables: Mapping[str, str] = NONE, errors: int = asyncio.subprocess.DEVNULL
) -> asyncio.subprocess.Process:
    """Start a platform and wait for nothing; `errors` is where its standard error goes."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "simulator", "serve", *map(str, flags)),
        env={**ENVIRONMENT, **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=errors,
    )


async def until_ready(process: asyncio.subprocess.Process) -> PlatformProcess:
    """Wait for the ready line; one that does not come costs the process its life."""
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            line = await process.stdout.readline()
        assert line, "the platform did not start"
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    return PlatformProcess(process, json.loads(line))


@asynccontextmanager
async def serving(*flags: str | Path, variables: Mapping[str, str] = NONE) -> AsyncIterator[PlatformProcess]:
    """A platform on free ports, stopped at the end."""
    platform = await start_platform("--mqtt-port", "0", "--http-port", "0", *flags, variables=variables)
    try:
        yield platform
    finally:
        with contextlib.suppress(ProcessLookupError):
            platform.process.terminate()
        await platform.process.wait()
