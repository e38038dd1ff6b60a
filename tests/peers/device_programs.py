"""Devices that are programs of their own: the vendor's SDK where a checkout of it is at hand, and a stand-in for it."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

PROGRAMS = Path(__file__).parent / "devices"
CHECKOUT_VARIABLE = "KEYTURN_DEVICE_SDK"
PAHO_OF_THE_SDK = "paho-mqtt==2.0.0"
MQTT_PORT = 1883
"""The only port without TLS that the SDK takes."""

MQTTS_PORT = 8883

CONNECTED = {"connected": 0}

_numbers = count(1)


def own_host() -> str:
    """Return a loopback address that no other test uses, so that its port 1883 is free."""
    return f"127.83.{os.getpid() % 250 + 1}.{next(_numbers)}"


@dataclass(frozen=True, slots=True)
class DeviceProgram:
    """A way to start a device: a Python with paho-mqtt 2.0.0, and what it runs."""

    python: Path
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunningDevice:
    process: asyncio.subprocess.Process
    told: list[dict[str, Any]]
    """What the device said of itself."""

    @property
    def has_connected(self) -> bool:
        """Whether its first connect is over: a second after the CONNECT, until when the SDK would not try again."""
        return CONNECTED in self.told

    @property
    def received(self) -> list[dict[str, Any]]:
        return [one for one in self.told if one != CONNECTED]

    def issue(self, secret: str) -> None:
        """Give the device a secret by a way that is neither the platform nor its link."""
        self._say({"secret": secret})

    def ask_for_the_time(self) -> None:
        self._say({})

    def _say(self, what: dict[str, str]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(what).encode() + b"\n")


def make_environment(folder: Path, *requirements: str) -> Path:
    """Make a virtual environment; returns its Python. Fails without a package index: a test must not pass for that."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=60)
    python = folder / "bin/python"
    command = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements)
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    return python


@asynccontextmanager
async def switched_on(
    program: DeviceProgram, host: str, device_id: str, secret: str, ca: Path | None = None
) -> AsyncIterator[RunningDevice]:
    """Run a device until the block ends, over TLS if it is given a CA file; its secret reaches it on its input."""
    process = await asyncio.create_subprocess_exec(
        *(program.python, *program.arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    first = {"host": host, "device_id": device_id, "secret": secret, **({"ca": str(ca)} if ca else {})}
    process.stdin.write(json.dumps(first).encode() + b"\n")
    device = RunningDevice(process, [])
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_listen(process.stdout, device.told), name="device.told")
        try:
            yield device
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def _listen(stdout: asyncio.StreamReader, told: list[dict[str, Any]]) -> None:
    while line := await stdout.readline():
        told.append(json.loads(line))
