"""A platform with two access processes, and clients that know which of them they are connected to."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.broker.rig import DEADLINE_S, Client, Rig, connect, running
from wire.mqtt import ConnAck, Connect

TRIES = 200


class Duo:
    """`pids` are of the two access processes, the one that was ready first first."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig

    @property
    def pids(self) -> tuple[int, ...]:
        """Those that serve now."""
        serving: dict[int, int] = {}
        for one in self.rig.records("process"):
            if one["state"] == "serving":
                serving[one["process"]] = one["pid"]
            else:
                del serving[one["process"]]
        return tuple(serving.values())

    async def client(self, pid: int) -> Client:
        """Open a connection that this process has."""
        for _ in range(TRIES):
            client = await self.rig.client()
            if await owner_of(client, self.pids) == pid:
                return client
            client.writer.transport.abort()
        raise AssertionError(f"{TRIES} connections, and none to {pid}")

    async def enter(self, pid: int, packet: Connect | None = None) -> tuple[Client, ConnAck]:
        """Log in there; fails if the platform refuses."""
        client = await self.client(pid)
        client.send(packet or connect())
        answer = await client.receive()
        assert isinstance(answer, ConnAck)
        assert answer.code == 0
        return client, answer

    async def login(self, pid: int, packet: Connect | None = None) -> Client:
        return (await self.enter(pid, packet))[0]


@asynccontextmanager
async def running_duo(folder: Path, **settings: Any) -> AsyncIterator[Duo]:
    async with running(folder, **{"access_processes": 2, **settings}) as rig:
        yield Duo(rig)


async def owner_of(client: Client, pids: tuple[int, ...]) -> int:
    """Return which of these processes has accepted a connection; the hub's sockets only listen."""
    ours = client.writer.get_extra_info("sockname")[1]
    async with asyncio.timeout(DEADLINE_S):
        while True:
            inode = _inode_with_remote_port(ours)
            for pid in pids:
                if inode is not None and f"socket:[{inode}]" in _open_files(pid):
                    return pid
            await asyncio.sleep(0)


def _inode_with_remote_port(port: int) -> str | None:
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if int(fields[2].rpartition(":")[2], 16) == port and fields[9] != "0":
            return fields[9]
    return None


def _open_files(pid: int) -> set[str]:
    found = set()
    for name in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.add(os.readlink(name))
        except FileNotFoundError:
            continue
    return found
