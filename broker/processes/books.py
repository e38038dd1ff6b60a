"""The sessions of all access processes, as the hub knows them: each from when it was granted its device."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from broker.access.downlinks import Downlinks
from broker.access.queue import Bounds
from broker.access.terms import PLAIN
from broker.processes.changes import Draft, HubPresence
from broker.processes.letters import Claim, Cut
from broker.processes.member import Member
from broker.sessions import Ending, Link, Session, Sessions

ELSEWHERE = cast("Link", None)
NOTHING = Downlinks(0, Bounds(0, 0))


@dataclass(slots=True, eq=False)
class Booked(Session):
    """A session that another process has the connection of."""

    member: Member | None = None
    claim: int = 0


class Books(Sessions):
    """Sessions by device id; they come and go as the processes say, and are cut by them."""

    def __init__(self, draft: Draft) -> None:
        super().__init__()
        self.presence = HubPresence(draft)
        self._draft = draft

    def cut(self, device_id: str, ending: Ending) -> bool:
        """Have it cut wherever it is, also where it arrives; tells whether there should be one."""
        self._draft.add(Cut(device_id, ending))
        if device_id not in self:
            return False
        self._draft.believed.add(device_id)
        return True

    def enter(self, member: Member, claim: Claim) -> None:
        """A session is open, in the place of any other of its device."""
        before = self.get(claim.device_id)
        if before is not None:
            self.detach(before, claim.connected_at, for_good=False)
        self.attach(
            Booked(
                device_id=claim.device_id,
                slot=claim.slot,
                version=claim.version,
                client_id=claim.client_id,
                peer=claim.peer,
                connected_at=claim.connected_at,
                link=ELSEWHERE,
                terms=PLAIN[claim.level],
                downlinks=NOTHING,
                member=member,
                claim=claim.number,
            )
        )

    def leave(self, member: Member, claim: int, device_id: str, utc: datetime, *, for_good: bool) -> None:
        """This very session is over, if it was one."""
        session = self.get(device_id)
        if isinstance(session, Booked) and session.member is member and session.claim == claim:
            self.detach(session, utc, for_good=for_good)

    def of(self, member: Member) -> Iterator[Booked]:
        return iter([one for one in self if isinstance(one, Booked) and one.member is member])
