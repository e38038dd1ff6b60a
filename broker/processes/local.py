"""An access process's own parts, which tell the hub what they do."""

import traceback
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from broker.access.admission import Admission
from broker.access.link import Link
from broker.clock import Clock
from broker.complaints import complain
from broker.journal import Journal
from broker.presence import Presence, Versions
from broker.processes.channel import Channel
from broker.processes.door import Door
from broker.processes.letters import Lines, Reported
from broker.sessions import Ending, Session, Sessions
from wire.mqtt import Connect

Caller = tuple[Link, Connect]


class LocalJournal(Journal):
    """Appends to the file of all processes, and has the hub tell its readers; it is sent before clients hear of it."""

    def __init__(
        self, path: Path | None, clock: Clock, later: Callable[[Callable[[], None]], object], channel: Channel
    ) -> None:
        super().__init__(path, clock, later, ring=0)
        self._channel = channel

    def flush(self) -> None:
        super().flush()
        self._channel.send_due()

    def take_in(self, data: bytes) -> None:
        self._channel.post(Lines(data, self.lost))


class LocalPresence(Presence):
    """Since when devices are in is the hub's to know."""

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self._channel = channel

    def entered(self, device_id: str, utc: datetime) -> None:
        """As above."""

    def left(self, device_id: str, utc: datetime) -> None:
        """As above."""

    def reported(self, device_id: str, versions: Versions) -> None:
        self._channel.post(Reported(device_id, versions))


class LocalSessions(Sessions):
    """The sessions of this process; `came` and `went` hear of every one, `gave_up` of those that did not come to be."""

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self.presence = LocalPresence(channel)
        self.came: Callable[[Session], None] = lambda _session: None
        self.went: Callable[[Session, datetime, bool], None] = lambda _session, _utc, _for_good: None
        self.gave_up: Callable[[Session], None] = lambda _session: None

    def give_up(self, session: Session) -> None:
        if self.arriving(session.device_id) is session:
            super().give_up(session)
            self.gave_up(session)

    def attach(self, session: Session) -> None:
        if self.arriving(session.device_id) is session:
            del self._arriving[session.device_id]
        super().attach(session)
        self.came(session)

    def detach(self, session: Session, utc: datetime, *, for_good: bool = True) -> bool:
        if not super().detach(session, utc, for_good=for_good):
            return False
        self.went(session, utc, for_good)
        return True

    def arriving(self, device_id: str) -> Session | None:
        return self._arriving.get(device_id)

    def end(self, device_id: str, ending: Ending) -> None:
        """Cut the device's session, and not one that arrives."""
        if (session := self.get(device_id)) is not None:
            session.link.cut(ending)

    def end_arriving(self, device_id: str, ending: Ending) -> None:
        if (session := self.arriving(device_id)) is not None:
            session.link.cut(ending)


class LocalAdmission(Admission):
    """Judges nobody while a change that bears upon him is under way; makes way when a claim is granted, not before."""

    door: Door[Caller]
    sessions: LocalSessions

    def connect(self, link: Link, packet: Connect) -> None:
        if self.door.is_shut(packet.client_id):
            self.door.wait(packet.client_id, (link, packet))
            link.hold(None)
        else:
            super().connect(link, packet)

    def judge(self, link: Link, packet: Connect) -> None:
        """Judge a CONNECT that has waited, unless its connection is over."""
        if not link.is_held:
            return
        try:
            self.connect(link, packet)
        except Exception:  # noqa: BLE001 - the guard: whatever one client brings about, it ends that client's link
            self._statistics.internal_errors += 1
            complain(f"serving {link.peer} failed\n{traceback.format_exc()}")
            self.refuse_unavailable(link, packet.level)

    def _make_way(self, device_id: str, packet: Connect) -> None:  # noqa: ARG002 - what is stored stays until then
        self.sessions.end_arriving(device_id, Ending.TAKE_OVER)
