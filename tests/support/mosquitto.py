"""A mosquitto of our own on a free loopback port; MQTT software that we did not write."""

import asyncio
import contextlib
import getpass
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from tests.support.ports import unused_port
from tests.support.waiting import DEADLINE_S

STOP_WITHIN_S = 5.0
QUEUE = ("queue_qos0_messages true", "max_inflight_messages 0")  # 2.0.11: QoS 0 behind a full window never goes out
KEEPER = ("-i", "keeper", "-c", "-q", "1")


def program(name: str) -> str:
    """Where a program of mosquitto is; AssertionError when it is not installed."""
    found = shutil.which(name, path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/homebrew/bin")
    assert found, f"{name} is missing (Debian: apt-get install mosquitto mosquitto-clients)"
    return found


class Mosquitto:
    """One broker that can be stopped and started again on the same port. `users` None lets everybody in.

    `lines` are added: what the listener needs for TLS, or what is to be other than usual.
    """

    def __init__(self, folder: Path, users: Mapping[str, str] | None = None, lines: Sequence[str] = ()) -> None:
        self.port = unused_port()
        self._folder = folder
        self._config = folder / "mosquitto.conf"
        self._process: asyncio.subprocess.Process | None = None
        access = ["allow_anonymous true"] if users is None else self._password_file(users)
        ourselves = f"user {getpass.getuser()}"  # started by root, it would become somebody who cannot read our folder
        config = [
            ourselves,
            f"listener {self.port} 127.0.0.1",
            "persistence false",
            "log_dest stderr",
            *QUEUE,
            *lines,
        ]
        self._config.write_text("\n".join([*config, *access, ""]), encoding="utf-8")

    @property
    def pid(self) -> int:
        assert self._process is not None, "it was started"
        return self._process.pid

    async def start(self) -> None:
        """Start it and wait until it takes connections."""
        with (self._folder / "mosquitto.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                program("mosquitto"), "-c", str(self._config), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        while not await self._takes_connections():
            assert self._process.returncode is None, (self._folder / "mosquitto.log").read_text()

    async def stop(self) -> None:
        """End it, and wait until it has ended."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """End it without a chance to say good-bye."""
        await self._end(signal.SIGKILL)

    async def publish(self, topic: str, payload: str, qos: int = 0) -> None:
        """Publish with mosquitto_pub."""
        await self._run("mosquitto_pub", "-t", topic, "-m", payload, "-q", str(qos))

    async def keep(self, topic_filter: str) -> None:
        """Let the broker keep for `kept` what is published from now on."""
        await self._run("mosquitto_sub", *KEEPER, "-t", topic_filter, "-E")

    async def kept(self, topic_filter: str, count: int) -> list[str]:
        """Fetch the first messages that were kept, as "topic payload", with mosquitto_sub."""
        printed = await self._run("mosquitto_sub", *KEEPER, "-t", topic_filter, "-C", str(count), "-v")
        return printed.splitlines()

    async def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.send_signal(how)
            async with asyncio.timeout(STOP_WITHIN_S):
                await process.wait()

    async def _run(self, name: str, *arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            program(name), "-h", "127.0.0.1", "-p", str(self.port), *arguments, stdout=subprocess.PIPE
        )
        try:
            async with asyncio.timeout(DEADLINE_S):
                printed, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0, f"{name} ended with {process.returncode}"
        return printed.decode()

    async def _takes_connections(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            await asyncio.sleep(0.01)
            return False
        writer.close()
        await writer.wait_closed()
        return True

    def _password_file(self, users: Mapping[str, str]) -> list[str]:
        passwords = self._folder / "passwords"
        passwords.touch(mode=0o644)
        for user, password in users.items():
            arguments = [program("mosquitto_passwd"), "-b", str(passwords), user, password]
            subprocess.run(arguments, check=True, capture_output=True)
        return ["allow_anonymous false", f"password_file {passwords}"]


@contextlib.asynccontextmanager
async def mosquitto(
    folder: Path, users: Mapping[str, str] | None = None, lines: Sequence[str] = ()
) -> AsyncIterator[Mosquitto]:
    """A broker that runs while the body does."""
    broker = Mosquitto(folder, users, lines)
    await broker.start()
    try:
        yield broker
    finally:
        await broker.stop()
