"""Who is online."""

from datetime import datetime

from broker.access.downlinks import Downlinks
from broker.access.queue import Bounds
from broker.access.terms import PLAIN
from broker.auth.registry import Slot
from broker.sessions import Ending, Session, Sessions
from tests.broker.rig import START


class RecordingLink:
    """A link that keeps what it was told."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.endings: list[Ending] = []

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    def cut(self, ending: Ending) -> None:
        self.endings.append(ending)


def session(device_id: str = "d1", link: RecordingLink | None = None) -> Session:
    return Session(
        device_id,
        Slot.PRIMARY,
        1,
        "client",
        "peer",
        START,
        link or RecordingLink(),
        PLAIN[4],
        Downlinks(window=2, bounds=Bounds(messages=3, size=1000)),
    )


def test_session_is_found_until_it_is_detached() -> None:
    sessions, one = Sessions(), session()
    sessions.attach(one)
    assert (sessions.get("d1"), len(sessions), list(sessions)) == (one, 1, [one])
    assert sessions.detach(one, START)
    assert sessions.get("d1") is None


def test_late_detach_of_a_taken_over_session_removes_nothing() -> None:
    sessions, old, new = Sessions(), session(), session()
    sessions.attach(old)
    sessions.attach(new)
    assert not sessions.detach(old, START)
    assert sessions.get("d1") is new


def test_session_at_another_broker_is_live_and_cannot_be_sent_to() -> None:
    sessions, here, elsewhere = Sessions(), session("d1"), session("d2")
    elsewhere.via = "emqx"
    sessions.attach(here)
    sessions.attach(elsewhere)
    assert (sessions.reachable("d1"), sessions.reachable("d2"), sessions.reachable("d3")) == (here, None, None)
    assert sessions.get("d2") is elsewhere
    assert str(sessions.unreachable("d2")) == "device 'd2' is connected to emqx, where it cannot be sent anything"
    assert str(sessions.unreachable("d3")) == "device 'd3' is not online"


def test_cut_at_another_broker_is_not_over_yet() -> None:
    sessions, link = Sessions(), RecordingLink()
    sessions.attach(session(link=link))
    assert sessions.cut("d1", Ending.FROZEN)
    sessions.attach(elsewhere := session(link=link))
    elsewhere.via = "emqx"
    assert not sessions.cut("d1", Ending.FROZEN)
    assert not sessions.cut("d2", Ending.FROZEN)
    assert link.endings == [Ending.FROZEN, Ending.FROZEN]


class RecordingWatcher:
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.seen: list[tuple[Session, datetime | None]] = []

    def came(self, session: Session) -> None:
        self.seen.append((session, None))

    def went(self, session: Session, utc: datetime) -> None:
        self.seen.append((session, utc))


def test_watcher_is_told_of_every_start_and_of_ends_for_good() -> None:
    sessions, old, new = Sessions(), session(), session()
    watcher = sessions.watcher = RecordingWatcher()
    sessions.attach(old)
    sessions.detach(old, START, for_good=False)
    sessions.attach(new)
    sessions.detach(old, START)
    sessions.detach(new, START)
    assert watcher.seen == [(old, None), (new, None), (new, START)]


def test_cut_reaches_the_link_of_the_live_session() -> None:
    sessions, link = Sessions(), RecordingLink()
    sessions.attach(session(link=link))
    assert sessions.cut("d1", Ending.FORCED_RESET)
    assert link.endings == [Ending.FORCED_RESET]


def test_cut_of_an_offline_device_says_so() -> None:
    assert not Sessions().cut("d1", Ending.FORCED_RESET)
