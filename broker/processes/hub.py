"""The hub's side of several access processes: starts them, hears them, and stands for them before the control API."""

import asyncio
import contextlib
import os
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from broker.access.side import Doors
from broker.auth.registry import Device, Product, Registry
from broker.auth.roma import RomaRegistry
from broker.clock import Clock, SystemClock
from broker.errors import DeviceOffline, NotConfirmed, SettingsError
from broker.notes import Notes
from broker.processes.books import Books
from broker.processes.calls import FarCommands, FarDesk, FarMessages
from broker.processes.changes import Draft, HubClock, HubJournal, HubRegistry, HubStates, Later
from broker.processes.channel import Channel
from broker.processes.everywhere import Everywhere
from broker.processes.homes import Homes
from broker.processes.letters import (
    Answered,
    Begin,
    Came,
    Claim,
    Confirmed,
    Counted,
    Lines,
    Ready,
    Released,
    Reported,
    Said,
    ShareTopics,
    Stop,
    Unfit,
    WantsTopics,
    Went,
    Withdrawn,
)
from broker.processes.member import Member
from broker.program import CRASH
from broker.sessions import Ending
from broker.settings import Settings
from broker.statistics import Figures, LoopLag, Statistics, resident_kb

ROOT = Path(__file__).parents[2]
STOP_S = 5.0
"""How long a process may take to let its devices go."""


class Shared:
    """The parts of the platform that other processes have copies of, or a share in; each is made once."""

    def __init__(self, settings: Settings, clock: Clock | None) -> None:
        if clock is not None:
            raise SettingsError("a clock of one process is none of the others', expected access_processes 1")
        self._settings = settings
        self._draft = Draft()
        self.clock = HubClock(self._draft, SystemClock())
        self.books = Books(self._draft)

    def journal(self, path: Path | None, clock: Clock, later: Later, ring: int) -> HubJournal:
        return HubJournal(self._draft, path, clock, later, ring)

    def registry(self, devices: Iterable[Device], products: Iterable[Product], roma: RomaRegistry) -> HubRegistry:
        return HubRegistry(self._draft, devices, products, roma)

    def hub(self, run: str, registry: Registry, notes: Notes, tasks: asyncio.TaskGroup) -> "Hub":
        everywhere = Everywhere(self._draft, notes.journal, self.clock, self._settings.confirm_timeout_s)
        return Hub(self._settings, run, registry, self.books, self.clock, everywhere, notes, tasks)


class Hub:
    """What `AccessSide` is to a single process."""

    def __init__(
        self,
        settings: Settings,
        run: str,
        registry: Registry,
        books: Books,
        clock: HubClock,
        everywhere: Everywhere,
        notes: Notes,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._settings = settings
        self._run = run
        self._registry = registry
        self._books = books
        self._clock = clock
        self.spread = self._everywhere = everywhere
        self._notes = notes
        self._tasks = tasks
        self.stored = HubStates(everywhere.draft, notes.journal, clock)
        at_once = not settings.engine.is_broker
        self._homes = Homes(everywhere, books, clock, settings.confirm_timeout_s, opens_at_once=at_once)
        desk = FarDesk(registry, self._homes, everywhere, settings.confirm_timeout_s)
        self.commands, self.messages = FarCommands(desk), FarMessages(desk)
        self._loop_lag = LoopLag(asyncio.get_running_loop())
        self._numbers = count(1)
        self._shares_topics = False
        self._is_stopping = False
        self._past = Figures(Statistics(), 0, 0.0, 0)
        self._keepers: list[asyncio.Task[None]] = []
        self._sweeper: asyncio.TimerHandle | None = None
        self._hears: dict[type[Any], Callable[[Member, Any], None]] = {
            Lines: self._lines,
            Claim: self._homes.claim,
            Withdrawn: self._homes.withdrawn,
            Came: self._homes.came,
            Went: self._homes.went,
            Released: self._homes.released,
            Confirmed: everywhere.confirmed,
            Said: lambda _, letter: self._homes.said(letter),
            WantsTopics: self._wants_topics,
            Reported: lambda _, letter: books.presence.reported(letter.device_id, letter.versions),
            Answered: lambda member, letter: member.answered(letter),
            Counted: self._counted,
        }

    async def serve(
        self, opening: AsyncExitStack, doors: Sequence[Doors], sweeps: Sequence[Callable[[], None]]
    ) -> None:
        """Have devices let in, by one process at each of these doors; raises SettingsError when they cannot be."""
        loop = asyncio.get_running_loop()
        opening.push_async_callback(self._stop)
        started = [loop.create_future() for _ in doors]
        self._keepers = [
            self._tasks.create_task(self._keep(one, ready), name="access process")
            for one, ready in zip(doors, started, strict=True)
        ]
        await asyncio.wait(started)
        for ready in started:
            ready.result()
        self._sweep(sweeps)
        self._loop_lag.start()
        opening.callback(self._loop_lag.stop)

    async def figures(self) -> Figures:
        """Sum up what all processes count now; one that is silent is counted as of when it spoke last."""
        asked = [(member, member.ask("figures")) for member in self._everywhere.members if member.serves]
        for member, one in asked:
            with contextlib.suppress(NotConfirmed, DeviceOffline):
                member.figures = await one.wait(self._settings.confirm_timeout_s)
        figures = Figures(self._notes.statistics, 0, self._loop_lag.p99_ms(), resident_kb()) + self._past
        for member in self._everywhere.members:
            figures += member.figures
        return figures

    # -- the processes

    async def _keep(self, doors: Doors, ready: asyncio.Future[None]) -> None:
        """Have a process at a door, and another when it dies; one that cannot begin ends the platform."""
        while not self._is_stopping:
            member, gone = Member(next(self._numbers)), asyncio.Event()
            try:
                process = await self._start(member, doors, ready, gone)
            except OSError as error:
                _fail(ready, f"an access process cannot be started: {error.strerror}")
                return
            await gone.wait()
            code = await process.wait()
            self._lose(member, process.pid, code)
            if not self._is_stopping and (code == CRASH or not member.is_ready):
                _fail(ready, f"access process {member.number} ended with {code}")
                return

    async def _start(self, member: Member, doors: Doors, ready: asyncio.Future[None], gone: asyncio.Event) -> Process:
        ours, theirs = socket.socketpair()
        with theirs:
            sockets = [theirs.fileno(), *(one.fileno() for one in doors.sockets)]
            path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "broker.processes", *map(str, sockets)),
                pass_fds=sockets,
                stdin=DEVNULL,
                stdout=DEVNULL,
                env={**os.environ, "PYTHONPATH": path},
                start_new_session=True,  # Ctrl-C is for us: devices are told that we stop
            )
        channel = Channel(ours, partial(self._take, member, ready), gone.set, self._notes.journal.flush)
        member.connect(channel)
        self._everywhere.members.append(member)
        member.post(self._beginning(member, doors))
        return process

    def _beginning(self, member: Member, doors: Doors) -> Begin:
        registry = self._registry
        return Begin(
            settings=self._settings,
            run=self._run,
            number=member.number,
            devices=list(registry),
            products=registry.products,
            roma_products=registry.roma.products,
            roma_devices=list(registry.roma),
            ahead=self._clock.ahead,
            certificate=doors.certificate,
            shares_topics=self._shares_topics,
        )

    def _lose(self, member: Member, pid: int, code: int) -> None:
        """A process is over, and every session that it still had is."""
        journal, utc = self._notes.journal, self._clock.utc()
        self._everywhere.members.remove(member)
        member.abandon(lambda: DeviceOffline("its access process is gone"))
        self._past += Figures(member.figures.statistics, 0, 0.0, 0)
        left = list(self._books.of(member))
        state = "stopped" if self._is_stopping and not code else "lost"
        journal.write("process", process=member.number, role="access", pid=pid, state=state, exit=code, cut=len(left))
        for session in left:
            self._notes.statistics.ended[Ending.PROCESS_LOST.value] += 1
            journal.write("detached", **session.as_detached(Ending.PROCESS_LOST))
            self._books.detach(session, utc)
        self._homes.lost(member)
        self._everywhere.lost(member)

    async def _stop(self) -> None:
        """Have every process let its devices go; one that does not is killed."""
        self._is_stopping = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for member in self._everywhere.members:
            member.post(Stop())
        if not self._keepers:
            return
        _, late = await asyncio.wait(self._keepers, timeout=STOP_S)
        for member in list(self._everywhere.members) if late else ():
            member.kill()
        if late:
            await asyncio.wait(late)

    # -- what they say

    def _take(self, member: Member, ready: asyncio.Future[None], letter: Any) -> None:
        match letter:
            case Ready():
                member.is_ready, member.pid = True, letter.pid
                self._notes.journal.write(
                    "process", process=member.number, role="access", pid=letter.pid, state="serving"
                )
                if not ready.done():
                    ready.set_result(None)
            case Unfit():
                if not ready.done():
                    ready.set_exception(SettingsError(letter.message))
            case _:
                self._hears[type(letter)](member, letter)

    def _lines(self, member: Member, letter: Lines) -> None:
        journal = self._notes.journal
        journal.take_in(letter.data)
        journal.lost += letter.lost - member.lost_lines
        member.lost_lines = letter.lost

    def _wants_topics(self, _: Member, __: WantsTopics) -> None:
        if not self._shares_topics:
            self._shares_topics = True
            self._everywhere.order(ShareTopics())

    def _counted(self, member: Member, letter: Counted) -> None:
        member.figures = letter.figures

    def _sweep(self, sweeps: Sequence[Callable[[], None]]) -> None:
        for sweep in sweeps:
            sweep()
        loop = asyncio.get_running_loop()
        self._sweeper = loop.call_later(self._settings.sweep_s, self._sweep, sweeps)


def _fail(ready: asyncio.Future[None], why: str) -> None:
    """Tell who waits for a process, or stop the platform, which was to have it all the time."""
    if not ready.done():
        ready.set_exception(SettingsError(why))
    elif ready.exception() is None:
        context = {"message": "devices are not let in any more", "exception": RuntimeError(why)}
        asyncio.get_running_loop().call_exception_handler(context)
