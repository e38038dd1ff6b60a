"""Devices between this process and the others: an engine before the engine, which claims a device for its session."""

import pickle
import traceback
from collections.abc import Iterable
from datetime import datetime
from itertools import count
from typing import Any, NamedTuple, cast

from broker.access.downlinks import Downlinks
from broker.access.link import Link
from broker.access.queue import Bounds
from broker.auth.decision import Reason
from broker.complaints import complain
from broker.engines.engine import NotReady, Opened
from broker.engines.relay import Relay
from broker.mailbox import Mailbox
from broker.processes.channel import Channel
from broker.processes.letters import EVERYBODY, Came, Claim, Denied, Granted, Release, Released, Went, Withdrawn
from broker.processes.local import Caller, LocalSessions
from broker.processes.topics import SharedTopics
from broker.sessions import Ending, Line, Session
from broker.settings import Settings
from broker.statistics import Statistics
from broker.stored import Kept, Loss, StoredStates
from wire.mqtt import Connect


class Estate(NamedTuple):
    """All that is kept of a device; one pickle, because the mailbox knows the messages of the rest by identity."""

    kept: Kept | None
    engine: Any
    mailbox: Mailbox | None


class Waiting:
    """The line of a session that waits for its claim; nothing is served on it but its end."""

    __slots__ = ("_claims", "number", "opened", "packet", "session")

    def __init__(self, claims: "Claims", number: int, session: Session, packet: Connect, opened: Opened) -> None:
        self._claims = claims
        self.number = number
        self.session = session
        self.packet = packet
        self.opened = opened

    def leave(self) -> None:
        self._claims.withdraw(self)

    def pause(self) -> None:
        """Nothing comes from here."""

    def resume(self) -> None:
        """As above."""


class Claims:
    """Stands before the engine: opens a session there when the hub has granted its device."""

    def __init__(
        self,
        engine: SharedTopics | Relay,
        channel: Channel,
        settings: Settings,
        sessions: LocalSessions,
        stored: StoredStates,
        statistics: Statistics,
    ) -> None:
        self.engine = engine
        self._channel = channel
        self._bounds = Bounds(settings.queue_limit, settings.queue_bytes)
        self._sessions = sessions
        self._stored = stored
        self._statistics = statistics
        self._numbers = count(1)
        self._waiting: dict[int, Waiting] = {}
        self._by_device: dict[str, list[Waiting]] = {}
        self._granted: dict[Session, int] = {}
        sessions.came, sessions.went, sessions.gave_up = self._came, self._went, self._gave_up
        self.start, self.stop, self.sweep, self.forget = engine.start, engine.stop, engine.sweep, engine.forget

    def open(self, session: Session, packet: Connect, opened: Opened) -> None:
        if session.slot is None:  # a guest is the engine's alone
            self.engine.open(session, packet, opened)
            return
        assert session.version is not None, "who has a slot was let in by some version"
        waiting = Waiting(self, next(self._numbers), session, packet, opened)
        session.line = cast("Line", waiting)
        self._waiting[waiting.number] = waiting
        self._by_device.setdefault(session.device_id, []).append(waiting)
        self._channel.post(
            Claim(
                waiting.number,
                session.device_id,
                session.slot,
                session.version,
                session.client_id,
                session.peer,
                session.connected_at,
                session.terms.level,
            )
        )

    def withdraw(self, waiting: Waiting) -> None:
        """The connection is over, or its CONNECT is to be judged again; without effect once the hub has answered."""
        if waiting.number not in self._waiting:
            return
        self._forget(waiting)
        self._channel.post(Withdrawn(waiting.number, waiting.session.device_id))

    def void(self, about: Iterable[str]) -> list[Caller]:
        """A change bears upon these names: withdraw the claims that were judged before it, and return who made them."""
        names = list(self._by_device) if EVERYBODY in about else about
        found = [waiting for name in names for waiting in self._by_device.get(name, ())]
        for waiting in found:
            self.withdraw(waiting)
        return [(cast("Link", waiting.session.link), waiting.packet) for waiting in found]

    # -- what the hub says

    def granted(self, letter: Granted) -> None:
        """The device is ours, with what came along; its session opens, unless its connection is over."""
        device_id = letter.device_id
        if letter.estate is not None:
            self._inherit(device_id, pickle.loads(letter.estate))  # noqa: S301 - of a process of ours
        if isinstance(self.engine, SharedTopics):
            for said in letter.missed:
                self.engine.heard(said, device_id)
        if not letter.claim:
            return
        self._sessions.cut(device_id, Ending.TAKE_OVER)
        waiting = self._waiting.get(letter.claim)
        if waiting is not None:
            self._forget(waiting)
            self._granted[waiting.session] = waiting.number
            self._sessions.expect_granted(waiting.session)
            self._open(waiting.session, waiting.packet, waiting.opened)

    def denied(self, letter: Denied) -> None:
        waiting = self._waiting.get(letter.claim)
        if waiting is not None:
            self._forget(waiting)
            waiting.opened(NotReady(Reason.PROCESS_UNRESPONSIVE, letter.detail))

    def release(self, letter: Release) -> None:
        """Let go of a device; a CONNECT that waits for a claim here comes after the one that this is for."""
        device_id = letter.device_id
        self._sessions.cut(device_id, Ending.TAKE_OVER)
        engine = self.engine.hand_over(device_id)
        kept, mailbox = self._stored.give_up(device_id), self._stored.mailboxes.pop(device_id, None)
        estate = Estate(kept, engine if kept else None, mailbox)
        pickled = pickle.dumps(estate, pickle.HIGHEST_PROTOCOL) if kept or mailbox else None
        self._channel.post_later(Released(letter.number, pickled))

    def _inherit(self, device_id: str, estate: Estate) -> None:
        if estate.kept is not None:
            self._stored.adopt(device_id, estate.kept)
            self.engine.take_over(device_id, estate.engine)
        if estate.mailbox is not None:
            self._stored.mailboxes[device_id] = estate.mailbox

    # -- sessions

    def _open(self, session: Session, packet: Connect, opened: Opened) -> None:
        if packet.clean_session:
            self._stored.drop(session.device_id, Loss.CLEAN_START)
        else:
            session.downlinks = self._stored.look_up(session.device_id) or Downlinks(0, self._bounds)
        try:
            self.engine.open(session, packet, opened)
        except Exception:  # noqa: BLE001 - the guard: this one device is to suffer
            self._statistics.internal_errors += 1
            complain(f"opening a session for {session.peer} failed\n{traceback.format_exc()}")
            session.link.cut(Ending.INTERNAL_ERROR)

    def _came(self, session: Session) -> None:
        if isinstance(self.engine, Relay):
            self._channel.post(Came(self._granted[session], session.device_id))

    def _went(self, session: Session, utc: datetime, for_good: bool) -> None:
        device_id = session.device_id
        kept = session.keep_s > 0 or device_id in self._stored.mailboxes
        self._channel.post(Went(self._granted.pop(session), device_id, utc, for_good, kept))

    def _gave_up(self, session: Session) -> None:
        """The device was ours, and the engine would not have it, or its connection is over."""
        number = self._granted.pop(session, None)
        if number is not None:
            self._channel.post(Withdrawn(number, session.device_id))

    def _forget(self, waiting: Waiting) -> None:
        del self._waiting[waiting.number]
        others = self._by_device[waiting.session.device_id]
        others.remove(waiting)
        if not others:
            del self._by_device[waiting.session.device_id]
