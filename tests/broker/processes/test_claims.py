"""What an access process says to the hub of the sessions that wait for it, and of those that come to nothing."""

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from broker.access.downlinks import Downlinks
from broker.access.queue import Bounds, Message
from broker.access.terms import PLAIN
from broker.auth.decision import Reason
from broker.auth.registry import Slot
from broker.engines.engine import READY, NotReady, Opened
from broker.engines.relay import Relay
from broker.journal import Journal
from broker.processes.channel import Channel
from broker.processes.claims import Claims, Estate
from broker.processes.letters import EVERYBODY, Claim, Denied, Granted, Release, Released, Went, Withdrawn
from broker.processes.local import LocalSessions
from broker.sessions import Ending, Line, Session
from broker.settings import Settings
from broker.statistics import Statistics
from broker.stored import StoredStates
from tests.broker.processes.hub_rig import MOMENT, Post
from tests.broker.rig import FakeClock, connect
from wire.mqtt import Connect

NOT_READY = NotReady(Reason.ENGINE_UNAVAILABLE, "down")


class Engine:
    """Opens when the test says so."""

    def __init__(self) -> None:
        self.opened: list[Opened] = []
        self.kept: dict[str, object] = {}

    def open(self, session: Session, packet: Connect, opened: Opened) -> None:
        session.line = cast("Line", self)
        self.opened.append(opened)

    def leave(self) -> None: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def sweep(self) -> None: ...

    def forget(self, device_id: str) -> None:
        self.kept.pop(device_id, None)

    def hand_over(self, device_id: str) -> object:
        return self.kept.pop(device_id, None)

    def take_over(self, device_id: str, kept: object) -> None:
        self.kept[device_id] = kept


class LinkStub:
    """Ends its session as the gate does."""

    def __init__(self, end: Callable[[], None]) -> None:
        self.endings: list[Ending] = []
        self._end = end

    def cut(self, ending: Ending) -> None:
        self.endings.append(ending)
        self._end()


class Process:
    """The parts of an access process that claims stand between."""

    def __init__(self, path: Path) -> None:
        self.post, self.engine, self.clock = Post(), Engine(), FakeClock()
        channel = cast("Channel", self.post)
        self.post.post_later = self.post.post  # type: ignore[attr-defined]
        self.journal = Journal(path, self.clock, lambda _: None, 10)
        self.sessions = LocalSessions(channel)
        self.stored = StoredStates(self.journal, self.clock)
        engine = cast("Relay", self.engine)
        self.claims = Claims(engine, channel, Settings(), self.sessions, self.stored, Statistics())
        self.stored.engine = self.claims
        self.outcomes: list[Any] = []

    def open(self, packet: Connect, keep_s: int = 0) -> Session:
        session = Session(
            "d1", Slot.PRIMARY, 1, "d1_0_0_0", "peer", MOMENT, cast("Any", None), PLAIN[4], Downlinks(0, Bounds(9, 999))
        )
        session.keep_s = keep_s

        def end() -> None:
            if session.is_open:
                self.sessions.detach(session, MOMENT)
                self.stored.leave(session)
            else:
                self.abandon(session)

        session.link = LinkStub(end)
        self.sessions.expect(session)
        self.claims.open(session, packet, self.outcomes.append)
        return session

    def abandon(self, session: Session) -> None:
        self.sessions.give_up(session)
        session.engine.leave()

    def said(self, kind: type) -> list[Any]:
        return self.post.of(kind)


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path / "j")
    yield process
    process.journal.close()


def test_engine_is_asked_when_the_claim_is_granted(process: Process) -> None:
    process.open(connect())
    (claim,) = process.said(Claim)
    assert process.engine.opened == []
    process.claims.granted(Granted(claim.number, "d1"))
    process.engine.opened[0](READY)
    assert process.outcomes == [READY]


def test_session_that_the_engine_would_not_have_is_withdrawn(process: Process) -> None:
    session = process.open(connect())
    process.claims.granted(Granted(1, "d1"))
    process.engine.opened[0](NOT_READY)
    process.abandon(session)
    assert process.said(Withdrawn) == [Withdrawn(1, "d1")]


def test_connection_that_ends_while_it_waits_is_withdrawn_once(process: Process) -> None:
    session = process.open(connect())
    process.abandon(session)
    process.abandon(session)
    assert process.said(Withdrawn) == [Withdrawn(1, "d1")]
    process.claims.granted(Granted(1, "d1"))
    assert process.engine.opened == []


def test_denied_claim_is_answered_and_not_withdrawn(process: Process) -> None:
    session = process.open(connect())
    process.claims.denied(Denied(1, "silent"))
    process.abandon(session)
    assert [one.reason for one in process.outcomes] == [Reason.PROCESS_UNRESPONSIVE]
    assert process.said(Withdrawn) == []


@pytest.mark.parametrize(("about", "is_void"), [(("d1",), True), ((EVERYBODY,), True), (("d2",), False)])
def test_change_voids_the_claims_that_were_judged_before_it(
    process: Process, about: tuple[str, ...], is_void: bool
) -> None:
    packet = connect()
    session = process.open(packet)
    assert process.claims.void(about) == ([(session.link, packet)] if is_void else [])
    assert bool(process.said(Withdrawn)) is is_void


def test_newer_grant_ends_the_session_before_it(process: Process) -> None:
    first = process.open(connect())
    process.claims.granted(Granted(1, "d1"))
    process.sessions.attach(first)
    process.open(connect())
    assert cast("Any", first.link).endings == []
    process.claims.granted(Granted(2, "d1"))
    assert cast("Any", first.link).endings == [Ending.TAKE_OVER]
    assert [one.claim for one in process.said(Went)] == [1]


def test_session_that_the_engine_still_considers_is_let_go_of_too(process: Process) -> None:
    session = process.open(connect())
    process.claims.granted(Granted(1, "d1"))
    process.claims.release(Release(1, "d1"))
    assert cast("Any", session.link).endings == [Ending.TAKE_OVER]
    assert process.said(Released) == [Released(1, None)]


def test_release_leaves_who_waits_for_a_later_claim(process: Process) -> None:
    session = process.open(connect())
    process.claims.release(Release(1, "d1"))
    assert cast("Any", session.link).endings == []


def test_all_that_is_kept_of_a_device_goes_and_comes(process: Process, tmp_path: Path) -> None:
    session = process.open(connect(clean_session=False), keep_s=60)
    process.claims.granted(Granted(1, "d1"))
    process.sessions.attach(session)
    process.engine.kept["d1"] = "subscriptions"
    session.downlinks.offer(Message("t", b"waits"))
    process.claims.release(Release(1, "d1"))
    (released,) = process.said(Released)
    assert (len(process.stored), process.engine.kept) == (0, {})
    estate: Estate = pickle.loads(released.estate)
    assert estate.engine == "subscriptions"
    other = Process(tmp_path / "other")
    new = other.open(connect(clean_session=False))
    other.claims.granted(Granted(1, "d1", released.estate))
    assert [one.payload for one in new.downlinks.unacknowledged] == [b"waits"]
    assert other.engine.kept == {"d1": "subscriptions"}
    other.journal.close()


def test_clean_start_drops_what_came_along(process: Process, tmp_path: Path) -> None:
    session = process.open(connect(clean_session=False), keep_s=60)
    process.claims.granted(Granted(1, "d1"))
    process.sessions.attach(session)
    process.claims.release(Release(1, "d1"))
    other = Process(tmp_path / "other")
    other.open(connect())
    other.claims.granted(Granted(1, "d1", process.said(Released)[0].estate))
    other.journal.flush()
    assert b'"reason":"clean_start"' in (tmp_path / "other").read_bytes()
    assert (len(other.stored), other.engine.kept) == (0, {})
    other.journal.close()
