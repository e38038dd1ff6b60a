"""Sessions whose connections another broker holds: how they begin, and how they are cut until that is confirmed.

A session is over when the broker has confirmed the cut, or lists its connection no more, or when the device has come
again; until then it counts as live. One broker call may fail, or come before the broker knows the connection that we
have just allowed: so it is repeated.
"""

import asyncio
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from broker.access.downlinks import Downlinks
from broker.access.queue import Bounds
from broker.access.terms import PLAIN
from broker.auth.decision import Accepted
from broker.auth.registry import Registry
from broker.complaints import complain
from broker.hooks.calls import Login
from broker.hooks.engine import Engine, EngineError, Visitor
from broker.journal import beginning
from broker.notes import Notes
from broker.sessions import Ending, Session, Sessions

BACKOFF_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""The waits after attempts to cut; the last one repeats."""

NO_QUEUE = Bounds(0, 0)


class RemoteLink:
    """The connection under a session, which we do not hold; `was_seen` since the broker has told us of it."""

    def __init__(self, owner: "RemoteSessions", visitor: Visitor, begun_at: float) -> None:
        self._owner = owner
        self.visitor = visitor
        self.begun_at = begun_at
        self.was_seen = False
        self.ending: Ending | None = None
        self.expected = Ending.CONNECTION_LOST
        """What the end will be put down to if the broker tells of it."""

    def send(self, data: bytes) -> None:
        """Nothing can be sent this way, and nobody tries: `Sessions.reachable` is who can be sent to."""
        raise AssertionError(f"{len(data)} bytes for a device at another broker")

    def cut(self, ending: Ending) -> None:
        """Have the connection cut; the session goes on until that is confirmed, or the device has come again."""
        self._owner.cut(self, ending)


@dataclass(frozen=True, slots=True)
class Premises(Notes):
    """The parts of the platform that hook mode works on."""

    registry: Registry
    sessions: Sessions
    tasks: asyncio.TaskGroup


class RemoteSessions:
    """The sessions at one broker, which is named `via` in the journal.

    `settle_s` is how long a connection that we have allowed may be unknown to the broker's management API.
    """

    def __init__(self, via: str, engine: Engine, premises: Premises, settle_s: float) -> None:
        self.via = via
        self.settle_s = settle_s
        self._engine = engine
        self._premises = premises
        self._sessions = premises.sessions
        self._journal = premises.journal
        self._clock = premises.clock
        self._cuts: set[asyncio.Task[None]] = set()
        self._is_stopped = False

    def __iter__(self) -> Iterator[tuple[Session, RemoteLink]]:
        return iter([(one, one.link) for one in self._sessions if isinstance(one.link, RemoteLink)])

    def begin(self, login: Login, verdict: Accepted) -> None:
        """Let a device in: its session begins now, its connection in a moment."""
        self._sessions.cut(verdict.device_id, Ending.TAKE_OVER)
        visitor = Visitor(verdict.device_id, login.client_id, login.username or "")
        session = Session(
            device_id=verdict.device_id,
            slot=verdict.slot,
            version=verdict.version,
            client_id=login.client_id,
            peer=beginning(login.peer or self.via),
            connected_at=self._clock.utc(),
            link=RemoteLink(self, visitor, self._clock.now()),
            terms=PLAIN[4],
            downlinks=Downlinks(0, NO_QUEUE),
            via=self.via,
        )
        self._sessions.attach(session)
        self._premises.statistics.accepted += 1
        self._journal.write("accepted", **session.as_accepted(), via=self.via)

    def cut(self, link: RemoteLink, ending: Ending) -> None:
        """Begin to cut; whoever has come again is in already, and its old session over."""
        is_first, link.ending = link.ending is None, link.ending or ending
        if ending is Ending.TAKE_OVER:
            self.over(link, link.ending)
        if not is_first:
            return
        self._journal.write("cut_requested", device=link.visitor.device_id, reason=ending, via=self.via)
        if self._is_stopped:
            return
        work = self._cut_until_confirmed(link, ending)
        task = self._premises.tasks.create_task(work, name=f"hook.cut[{link.visitor.device_id}]")
        self._cuts.add(task)
        task.add_done_callback(self._cuts.discard)

    def expect_the_end(self, device_id: str) -> None:
        """The broker is about to close a device's connection, for a topic that it was refused."""
        session = self._sessions.get(device_id)
        if session is not None and isinstance(session.link, RemoteLink):
            session.link.expected = Ending.TOPIC_POLICY

    def over(self, link: RemoteLink, ending: Ending) -> None:
        """A session is over, if it is not already."""
        session = self._sessions.get(link.visitor.device_id)
        if session is None or session.link is not link:
            return
        self._sessions.detach(session, self._clock.utc(), for_good=ending is not Ending.TAKE_OVER)
        if not self._is_registered(session.device_id):
            self._sessions.presence.forget(session.device_id)
        self._premises.statistics.ended[ending.value] += 1
        self._journal.write("detached", **session.as_detached(ending), via=self.via)

    async def stop(self) -> None:
        """Leave what is not confirmed: the next run finds connections that it knows nothing of."""
        self._is_stopped = True
        for task in (cuts := list(self._cuts)):
            task.cancel()
        if cuts:
            await asyncio.wait(cuts)

    async def _cut_until_confirmed(self, link: RemoteLink, ending: Ending) -> None:
        requested_at = self._clock.now()
        try:
            attempts = await self._repeat(link)
        except Exception:  # noqa: BLE001 - the guard of one cut: the others go on
            self._premises.statistics.internal_errors += 1
            complain(f"a cut failed\n{traceback.format_exc()}")
            return
        self._journal.write(
            "cut_confirmed",
            device=link.visitor.device_id,
            reason=ending,
            via=self.via,
            took_s=round(self._clock.now() - requested_at, 6),
            attempts=attempts,
        )
        self.over(link, ending)
        self._journal.flush()

    async def _repeat(self, link: RemoteLink) -> int:
        """Cut until it is confirmed; return the number of attempts."""
        for attempt in count(1):
            try:
                if await self._is_cut(link):
                    return attempt
            except EngineError as error:
                if attempt == 1:
                    self._journal.write("cut_failed", device=link.visitor.device_id, why=str(error), via=self.via)
            await asyncio.sleep(BACKOFF_S[min(attempt, len(BACKOFF_S)) - 1])
        raise AssertionError("counting has no end")

    async def _is_cut(self, link: RemoteLink) -> bool:
        """Try once; a connection that may not have been there yet is not cut, however the broker answers."""
        visitor, is_due = link.visitor, self._clock.now() >= link.begun_at + self.settle_s
        if not is_due and not link.was_seen:
            link.was_seen = await self._engine.is_connected(visitor)
        successor = self._successor(link)
        if successor is None:
            return (await self._engine.cut(visitor, alone=True) and link.was_seen) or is_due
        if successor.client_id != visitor.client_id:
            return await self._engine.cut(visitor, alone=False) or is_due
        if link.ending is not Ending.TAKE_OVER and is_due and not link.was_seen:
            await self._engine.cut(visitor, alone=True)  # whoever of the two is there: the wrong one must not stay
        return link.ending is Ending.TAKE_OVER or link.was_seen or is_due

    def _successor(self, link: RemoteLink) -> Session | None:
        """Return the session here of a device that has come again: with the same client id it has ended the old one."""
        found = self._sessions.get(link.visitor.device_id)
        return found if found is not None and found.via is not None and found.link is not link else None

    def _is_registered(self, device_id: str) -> bool:
        registry = self._premises.registry
        return registry.get(device_id) is not None or registry.roma.with_client_id(device_id) is not None
