"""An access process from the hub's first word to its last."""

import asyncio
import os
import socket
import traceback
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from broker.access.side import Doors
from broker.clock import SystemClock
from broker.complaints import complain
from broker.errors import BrokerError, SettingsError
from broker.notes import Notes
from broker.processes.access import LocalSide
from broker.processes.channel import Channel
from broker.processes.letters import (
    Answered,
    Ask,
    Begin,
    Change,
    Counted,
    Denied,
    Granted,
    Ready,
    Release,
    Said,
    Settled,
    Stop,
    Unfit,
)
from broker.processes.local import LocalJournal
from broker.processes.topics import SharedTopics
from broker.statistics import Statistics

T = TypeVar("T")


class Service:
    """Lets devices in from `Begin` to `Stop`; `is_over` is set then, or when the hub is gone."""

    def __init__(self, control: socket.socket, listening: Sequence[socket.socket]) -> None:
        self.is_over = asyncio.Event()
        self._listening = listening
        self._channel = Channel(control, self._take, self.is_over.set, self._before)
        self._journal: LocalJournal | None = None
        self._side: LocalSide | None = None
        self._tasks = asyncio.TaskGroup()
        self._begun = asyncio.Event()
        self._begin: Begin | None = None

    async def run(self) -> None:
        async with AsyncExitStack() as opening, self._tasks:
            await _either(self._begun.wait(), self.is_over.wait())
            if self._begin is None:
                return
            try:
                await self._serve(opening, self._begin)
            except BrokerError as error:
                self._channel.post(Unfit(str(error)))
            else:
                await self.is_over.wait()
                await opening.aclose()
            self._channel.close()

    # -- what the hub says

    def _take(self, letter: Any) -> None:
        match letter:
            case Begin():
                self._prepare(letter)
            case Stop():
                self.is_over.set()
            case Ask():
                self._serve_call(letter)
            case _:
                assert self._side is not None, "the hub begins with what there is to begin with"
                self._pass_on(self._side, letter)

    def _pass_on(self, side: LocalSide, letter: Any) -> None:
        match letter:
            case Granted():
                side.claims.granted(letter)
            case Change():
                side.change(letter)
            case Settled():
                side.settled(letter)
            case Release():
                side.claims.release(letter)
            case Denied():
                side.claims.denied(letter)
            case Said() if isinstance(side.claims.engine, SharedTopics):
                side.claims.engine.heard(letter)

    def _prepare(self, begin: Begin) -> None:
        """Have a registry in this very callback: changes of it may be next."""
        clock, loop = SystemClock(), asyncio.get_running_loop()
        clock.put_forward(begin.ahead.total_seconds())
        try:
            self._journal = LocalJournal(begin.settings.journal, clock, loop.call_soon, self._channel)
        except SettingsError as error:
            self._channel.post(Unfit(str(error)))
            self._channel.close()
            self.is_over.set()
            return
        self._side = LocalSide(begin, self._channel, Notes(self._journal, Statistics(), clock), self._tasks)
        self._begin = begin
        self._begun.set()

    async def _serve(self, opening: AsyncExitStack, begin: Begin) -> None:
        assert self._side is not None, "it was made"
        assert self._journal is not None, "as above"
        opening.callback(self._journal.close)
        plain, *secure = self._listening
        doors = Doors(plain, secure[0] if secure else None, begin.certificate)
        await self._side.serve(opening, (doors,), (self._count,))
        self._channel.post(Ready(os.getpid()))

    # -- calls

    def _serve_call(self, ask: Ask) -> None:
        """Make a call; one that waits for nothing is made in this callback: the device may be elsewhere in the next."""
        side = self._side
        assert side is not None, "nobody is asked who is not ready"
        match ask.call:
            case "command":
                self._later(ask, side.commands.send(*ask.arguments))
            case "get_properties":
                self._later(ask, side.commands.get_properties(*ask.arguments))
            case "set_properties":
                self._later(ask, side.commands.set_properties(*ask.arguments))
            case "figures":
                self._at_once(ask, side.figures())
            case _:
                self._at_once(ask, getattr(side.messages, ask.call)(*ask.arguments))

    def _at_once(self, ask: Ask, call: Coroutine[Any, Any, Any]) -> None:
        try:
            call.send(None)
        except StopIteration as done:
            self._channel.post(Answered(ask.number, done.value))
        except Exception as error:  # noqa: BLE001 - the guard: whoever asked is told
            self._fail(ask, error)
        else:
            call.close()
            self._fail(ask, RuntimeError(f"{ask.call} has waited"))

    def _later(self, ask: Ask, call: Coroutine[Any, Any, Any]) -> None:
        async def answer() -> None:
            try:
                self._channel.post(Answered(ask.number, await call))
            except Exception as error:  # noqa: BLE001 - as above
                self._fail(ask, error)

        self._tasks.create_task(answer())

    def _fail(self, ask: Ask, error: Exception) -> None:
        if not isinstance(error, BrokerError):
            assert self._side is not None, "as above"
            self._side.notes.statistics.internal_errors += 1
            complain(f"{ask.call} failed\n{''.join(traceback.format_exception(error))}")
        self._channel.post(Answered(ask.number, None, (type(error), error.args, vars(error))))

    # -- now and then

    def _count(self) -> None:
        assert self._side is not None, "it serves"
        self._channel.post(Counted(self._side.count()))

    def _before(self) -> None:
        """The hub hears of nothing that the journal does not hold."""
        if self._journal is not None:
            self._journal.flush()


async def _either(*waits: Coroutine[Any, Any, object]) -> None:
    tasks = [asyncio.ensure_future(one) for one in waits]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
