"""Hook mode without a broker: one in memory that does as it is told, and the platform's parts around it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from broker.auth.decision import Accepted, Policy
from broker.auth.registry import Registry, Slot
from broker.hooks.calls import Login
from broker.hooks.engine import Connection, EngineError, Visitor
from broker.hooks.judge import Judge
from broker.hooks.presence_poll import PresencePoll
from broker.hooks.remote_sessions import Premises, RemoteLink, RemoteSessions
from broker.journal import Journal
from broker.sessions import Session, Sessions
from broker.statistics import Statistics
from tests.broker.rig import HOUR, FakeClock, device, sign

SETTLE_S = 6.0


class MemoryEngine:
    """A broker's management API: it cuts what is `live`, lists no connection that is `young`, and fails as often as it
    is told to; `asked` is what it was asked to cut.
    """

    def __init__(self) -> None:
        self.live: dict[str, Connection] = {}
        self.young: set[str] = set()
        self.failures = 0
        self.asked: list[str] = []

    def connect(self, name: str, client_id: str, username: str, *, young: bool = False) -> None:
        self.live[name] = Connection(name, client_id, username)
        self.young |= {name} if young else set()

    async def connections(self) -> list[Connection]:
        await self._answer()
        return [one for one in self.live.values() if one.name not in self.young]

    async def is_connected(self, visitor: Visitor) -> bool:
        await self._answer()
        return any(one.username == visitor.username for one in self.live.values())

    async def cut(self, visitor: Visitor, *, alone: bool) -> bool:
        self.asked.append(visitor.username if alone else visitor.client_id)
        await self._answer()
        found = [
            one
            for one in self.live.values()
            if (one.username == visitor.username if alone else one.client_id == visitor.client_id)
        ]
        for one in found:
            del self.live[one.name]
        return alone or bool(found)

    async def cut_connection(self, connection: Connection) -> None:
        self.asked.append(connection.name)
        await self._answer()
        self.live.pop(connection.name, None)

    async def close(self) -> None:
        """Nothing is under way."""

    async def _answer(self) -> None:
        await asyncio.sleep(0)
        if self.failures:
            self.failures -= 1
            raise EngineError("GET: answered 503")


class Stand:
    """The sessions at one broker, and all that they need."""

    def __init__(self, via: str, folder: Path, tasks: asyncio.TaskGroup) -> None:
        self.clock = FakeClock()
        self.engine = MemoryEngine()
        self.path = folder / "platform.jsonl"
        self.journal = Journal(self.path, self.clock, asyncio.get_running_loop().call_soon, 1000)
        registry = Registry(devices=[device("d1"), device("d2")])
        self.premises = Premises(self.journal, Statistics(), self.clock, registry, Sessions(), tasks)
        self.remote = RemoteSessions(via, self.engine, self.premises, SETTLE_S)
        self.poll = PresencePoll(self.remote, self.engine, self.premises, 0.01)
        self.judge = Judge(self.remote, self.premises, Policy(), secure=False)

    @property
    def sessions(self) -> Sessions:
        return self.premises.sessions

    def log_in(self, device_id: str = "d1", hour: str = HOUR, version: int = 1) -> Session:
        """Let a device in by its primary secret; its connection is for the caller to make."""
        login = Login(f"{device_id}_0_0_{hour}", device_id, sign("-", hour))
        self.remote.begin(login, Accepted(device_id, Slot.PRIMARY, version))
        session = self.sessions.get(device_id)
        assert session is not None
        return session

    def grow_old(self) -> None:
        """Let the time pass in which a connection may be unknown to the broker."""
        self.clock.advance(SETTLE_S + 1)

    def records(self, *kinds: str) -> list[dict[str, Any]]:
        self.journal.flush()
        lines = [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]
        return [one for one in lines if one["kind"] in kinds]


def link_of(session: Session) -> RemoteLink:
    assert isinstance(session.link, RemoteLink)
    return session.link


@asynccontextmanager
async def standing(folder: Path, via: str = "rabbitmq") -> AsyncIterator[Stand]:
    async with asyncio.TaskGroup() as tasks:
        stand = Stand(via, folder, tasks)
        try:
            yield stand
        finally:
            await stand.remote.stop()
            stand.journal.close()
