"""The engine that is a broker: every session has a connection of its own to it, under the device's id."""

import asyncio
from collections import deque
from collections.abc import Coroutine
from functools import partial
from typing import Any

from broker.access.delivery import Delivery
from broker.access.turns import Turns
from broker.auth.decision import Reason
from broker.engines.dial import Dial, dial_of
from broker.engines.engine import NotReady, Opened, Ready
from broker.engines.greeting import greeting
from broker.engines.purge import Purge
from broker.engines.upstream import Upstream
from broker.notes import Notes
from broker.sessions import Session
from broker.settings import Settings
from wire.mqtt import Connect

BACKLOG_FULL_S = 0.005
"""How long to wait before another dial when too many wait for the broker to take them."""
PURGES = 8
PURGE_AGAIN_S = 1.0


class Relay:
    """Dials at most so many at a time, in the order of arrival, and gives up who has waited too long."""

    def __init__(
        self, settings: Settings, delivery: Delivery, notes: Notes, turns: Turns, tasks: asyncio.TaskGroup
    ) -> None:
        self.turns = turns
        self.delivery = delivery
        self.notes = notes
        self.highest_qos = 2 if settings.is_open else 1
        self.linger_s = settings.linger_s
        self._settings = settings
        self._tasks = tasks
        self._dial: Dial | None = None
        self._asking: dict[Upstream, tuple[Connect, Opened]] = {}
        self._lines: set[Upstream] = set()
        self._waiting: deque[Upstream] = deque()
        self._at_work: set[asyncio.Task[None]] = set()
        self._dialling = 0
        self._kept: set[str] = set()
        self._purges: dict[str, asyncio.Task[None]] = {}
        self._purge_room = asyncio.Semaphore(PURGES)
        self._trouble: str | None = None

    async def start(self) -> None:
        self._dial = await dial_of(self._settings.engine, self._settings.engine_timeout_s)

    async def stop(self) -> None:
        """Hang up on the broker; every session has left by now."""
        for task in self._at_work:
            task.cancel()
        for upstream in list(self._lines):
            upstream.abort()
        await asyncio.sleep(0)

    def open(self, session: Session, packet: Connect, opened: Opened) -> None:
        upstream = Upstream(self, session, self._greet(session, packet), self._now() + self._settings.engine_timeout_s)
        session.line = upstream
        self._asking[upstream] = packet, opened
        self._lines.add(upstream)
        self._waiting.append(upstream)
        if self._dialling < self._settings.engine_dials:
            self._dialling += 1
            self._begin(self._dial_waiting())

    def forget(self, device_id: str) -> None:
        """Have the broker forget, if it keeps anything; a session of that device waits until that is done."""
        if device_id in self._kept:
            self._kept.discard(device_id)
            self._purges[device_id] = self._begin(self._purge(device_id))

    def hand_over(self, device_id: str) -> bool:
        """The device goes to another gate before the same broker: tell whether that keeps anything of it."""
        was_kept = device_id in self._kept
        self._kept.discard(device_id)
        return was_kept

    def take_over(self, device_id: str, kept: bool) -> None:
        if kept:
            self._kept.add(device_id)

    def sweep(self) -> None:
        now = self._now()
        for upstream in [one for one in self._asking if one.deadline < now]:
            upstream.fail("no answer in time")

    # -- what connections tell

    def answered(self, upstream: Upstream, outcome: Ready | NotReady) -> None:
        packet, opened = self._asking.pop(upstream)
        session = upstream.session
        if isinstance(outcome, Ready):
            self._tell(None)
            if self._is_of_an_earlier_run(session, outcome):
                upstream.leave()
                self._begin_anew(session, packet, opened)
                return
            if session.slot is not None:  # what a guest leaves behind is between it and the broker
                keep = self._kept.add if session.keep_s else self._kept.discard
                keep(session.device_id)
        elif outcome.reason is Reason.ENGINE_UNAVAILABLE:
            self._tell(outcome.detail)
        opened(outcome)

    def ended(self, upstream: Upstream) -> None:
        self._asking.pop(upstream, None)
        self._lines.discard(upstream)

    def _is_of_an_earlier_run(self, session: Session, ready: Ready) -> bool:
        """Tell whether a broker goes on with what it kept of a device whose stored state ended with its platform."""
        is_present = ready.answer is not None and ready.answer.session_present
        return is_present and session.slot is not None and session.device_id not in self._kept

    def _begin_anew(self, session: Session, packet: Connect, opened: Opened) -> None:
        """Open a session again, when the broker has forgotten the device."""
        self._kept.add(session.device_id)
        self._purges[session.device_id] = self._begin(self._purge(session.device_id))
        self.open(session, packet, opened)

    # -- dialling

    async def _dial_waiting(self) -> None:
        try:
            while self._waiting:
                upstream = self._waiting.popleft()
                if not upstream.has_left:
                    await self._connect(upstream)
        finally:
            self._dialling -= 1

    async def _connect(self, upstream: Upstream) -> None:
        assert self._dial is not None, "the engine was started"
        if purge := self._purges.get(upstream.session.device_id):
            await asyncio.wait((purge,))
        while not upstream.has_left:
            try:
                await self._dial(partial(_same, upstream))
            except BlockingIOError:
                await asyncio.sleep(BACKLOG_FULL_S)
            except OSError as error:
                upstream.fail(error.strerror or str(error) or "no answer in time")
            else:
                return

    async def _purge(self, device_id: str) -> None:
        """Begin a clean session under the device's id, and end it; a broker that is down is asked again."""
        try:
            async with self._purge_room:
                while not await self._is_purged(device_id):
                    await asyncio.sleep(PURGE_AGAIN_S)
        finally:
            del self._purges[device_id]

    async def _is_purged(self, device_id: str) -> bool:
        assert self._dial is not None, "the engine was started"
        address = self._settings.engine
        purge = Purge(Connect(device_id, address.username, address.login))
        try:
            async with asyncio.timeout(self._settings.engine_timeout_s):
                await self._dial(partial(_same, purge))
                await purge.done
        except OSError:
            return False
        finally:
            purge.end()
        return True

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._tasks.create_task(work)
        self._at_work.add(task)
        task.add_done_callback(self._at_work.discard)
        return task

    def _greet(self, session: Session, packet: Connect) -> bytes:
        return greeting(session, packet, self._settings).encode()

    def _now(self) -> float:
        return self.notes.clock.now()

    def _tell(self, trouble: str | None) -> None:
        """Say in the journal when the engine goes, or comes back."""
        if (trouble is None) == (self._trouble is None):
            return
        self._trouble = trouble
        state = "up" if trouble is None else "down"
        self.notes.journal.write("engine", engine=str(self._settings.engine), state=state, detail=trouble)


def _same(protocol: asyncio.Protocol) -> asyncio.Protocol:
    """Be the factory of what is made already."""
    return protocol
