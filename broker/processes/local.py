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
from broker.sessions import Session, Sessions
from wire.mqtt import Connect

Caller = tuple[Link, Connect]


class LocalJournal(Journal):
    """Appends to the file of all processes, and has the hub tell its readers."""

    def __init__(
        self, path: Path | None, clock: Clock, later: Callable[[Callable[[], None]], object], channel: Channel
    ) -> None:
        super().__init__(path, clock, later, ring=0)
        self._channel = channel

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

    def expect(self, session: Session) -> None:
        """Its claim comes first: until that is granted nobody but its own connection can end it."""

    def expect_granted(self, session: Session) -> None:
        super().expect(session)

    def give_up(self, session: Session) -> None:
        if self._arriving.get(session.device_id) is session:
            super().give_up(session)
            self.gave_up(session)

    def attach(self, session: Session) -> None:
        if self._arriving.get(session.device_id) is session:
            del self._arriving[session.device_id]
        super().attach(session)
        self.came(session)

    def detach(self, session: Session, utc: datetime, *, for_good: bool = True) -> bool:
        if not super().detach(session, utc, for_good=for_good):
            return False
        self.went(session, utc, for_good)
        return True


class LocalAdmission(Admission):
    """Judges nobody while a change that bears upon him is under way; makes way when a claim is granted, not before."""

    door: Door[Caller]

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

    def _make_way(self, device_id: str, packet: Connect) -> None:
        """Whoever has the device keeps it until then."""
