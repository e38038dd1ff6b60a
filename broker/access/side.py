"""All that devices talk to in one process, wired: from the listening sockets to the engine behind the gate."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from broker.access.admission import Admission
from broker.access.delivery import Delivery
from broker.access.events import Events
from broker.access.gate import Gate
from broker.access.link import Links
from broker.access.listener import Listener
from broker.access.turns import Turns
from broker.access.uplinks import Uplinks
from broker.auth.registry import Registry
from broker.commands import Commands
from broker.engines.choice import engine_for
from broker.engines.engine import Engine
from broker.messages import Messages
from broker.notes import Notes
from broker.sessions import Sessions
from broker.settings import Settings
from broker.spread import Here, Spread
from broker.statistics import Figures, LoopLag, resident_kb
from broker.stored import StoredStates


@dataclass(frozen=True, slots=True)
class Doors:
    """What devices come in by: sockets that listen, and the certificate and key that the second is secured with."""

    plain: socket.socket
    secure: socket.socket | None = None
    certificate: tuple[Path, Path] | None = None

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        return (self.plain,) if self.secure is None else (self.plain, self.secure)


class AccessSide:
    """Who judges, serves and cuts devices; `ids` yields a new request id each time."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        sessions: Sessions,
        notes: Notes,
        ids: Iterator[str],
        tasks: asyncio.TaskGroup,
    ) -> None:
        self.settings = settings
        self.registry = registry
        self.sessions = sessions
        self.notes = notes
        self._tasks = tasks
        self.spread: Spread = Here()
        self.loop_lag = LoopLag(asyncio.get_running_loop())
        self._turns = Turns(asyncio.get_running_loop(), notes.journal)
        self.stored = StoredStates(notes.journal, notes.clock)
        self.delivery = Delivery(sessions, self.stored, notes.journal, notes.statistics, notes.clock)
        self.engine = self._make_engine()
        self.stored.engine = self.engine
        self.commands = Commands(registry, sessions, self.delivery, notes.journal, ids)
        self.messages = Messages(registry, sessions, self.stored, self.delivery, notes.journal, notes.clock, ids)

    async def serve(
        self, opening: AsyncExitStack, doors: Sequence[Doors], sweeps: Sequence[Callable[[], None]]
    ) -> None:
        """Let devices in by the only doors there are, until the stack is closed."""
        notes, (ours,) = self.notes, doors
        await self.engine.start()
        opening.push_async_callback(self.engine.stop)
        events = Events(self.sessions, self.delivery, notes.journal, notes.clock)
        uplinks = Uplinks(self.commands, events, notes.journal, notes.statistics)
        admission = self._make_admission()
        gate = Gate(self.settings, admission, uplinks, self.delivery, notes.journal, notes.statistics, sweeps)
        listener = Listener(Links(self.settings, gate, notes, self._turns))
        await listener.start(ours.plain, _secured(ours))
        opening.push_async_callback(listener.stop)
        self.loop_lag.start()
        opening.callback(self.loop_lag.stop)

    async def figures(self) -> Figures:
        return self.count()

    def count(self) -> Figures:
        return Figures(self.notes.statistics, len(self.stored), self.loop_lag.p99_ms(), resident_kb())

    def _make_engine(self) -> Engine:
        return engine_for(self.settings, self.delivery, self.notes, self._turns, self._tasks)

    def _make_admission(self) -> Admission:
        return Admission(
            self.settings, self.registry, self.sessions, self.stored, self.delivery, self.engine, self.notes
        )


def _secured(doors: Doors) -> tuple[socket.socket, ssl.SSLContext] | None:
    if doors.secure is None or doors.certificate is None:
        return None
    from broker.certificates import server_context  # slow to import, and only TLS needs it

    return doors.secure, server_context(*doors.certificate)
