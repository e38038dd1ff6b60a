"""Stored state: what is kept of a device while it is away, if it asked for that, and its mailbox in any case.

Its subscriptions stay with the engine, its unacknowledged and its queued messages in its `Downlinks`. All of it is
keyed by device id: a client id changes every hour. It lives in memory, and ends with the platform.
"""

from dataclasses import dataclass
from enum import StrEnum

from broker.access.downlinks import Downlinks
from broker.access.router import Router
from broker.clock import Clock
from broker.journal import Journal
from broker.mailbox import Mailbox
from broker.sessions import Session


class Loss(StrEnum):
    """Why stored state is no more, as the journal says it."""

    CLEAN_START = "clean_start"
    EXPIRED = "expired"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Kept:
    downlinks: Downlinks
    expires_at: float


class StoredStates:
    """The stored states of devices that have no session; a session has its state itself.

    `mailboxes` are of all devices that were ever sent one of the vendor's messages.
    """

    def __init__(self, engine: Router[str], journal: Journal, clock: Clock) -> None:
        self._engine = engine
        self._journal = journal
        self._clock = clock
        self._kept: dict[str, Kept] = {}
        self.mailboxes: dict[str, Mailbox] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, device_id: str) -> Downlinks | None:
        kept = self._kept.get(device_id)
        if kept is None or kept.expires_at <= self._clock.now():
            return None
        return kept.downlinks

    def leave(self, session: Session) -> None:
        """A session is over: keep its state as long as the client asked for, or forget it."""
        if session.keep_s:
            session.downlinks.suspend()
            self._kept[session.device_id] = Kept(session.downlinks, self._clock.now() + session.keep_s)
        else:
            self._engine.forget(session.device_id)
            self._take_back(session.device_id, session.downlinks)

    def take(self, device_id: str) -> Downlinks | None:
        """Hand a device's state over to its new session; None if there is none."""
        if self.get(device_id) is None:
            self.drop(device_id, Loss.EXPIRED)
            return None
        return self._kept.pop(device_id).downlinks

    def drop(self, device_id: str, loss: Loss) -> None:
        """Forget what is kept of a device, if anything is."""
        kept = self._kept.pop(device_id, None)
        if kept is None:
            return
        self._engine.forget(device_id)
        self._take_back(device_id, kept.downlinks)
        self._journal.write("forgotten", device=device_id, reason=loss, messages=kept.downlinks.held)

    def delete(self, device_id: str, session: Session | None) -> None:
        """The device is no more: forget its state, now or when the session that it still has is cut."""
        if session is not None:
            session.keep_s = 0
        self.mailboxes.pop(device_id, None)
        self.drop(device_id, Loss.DELETED)

    def expire(self) -> None:
        """Forget every state whose time is over."""
        now = self._clock.now()
        for device_id in [one for one, kept in self._kept.items() if kept.expires_at <= now]:
            self.drop(device_id, Loss.EXPIRED)

    def _take_back(self, device_id: str, downlinks: Downlinks) -> None:
        """Have the vendor's messages wait again that were on their way: that is no state of MQTT's."""
        if (mailbox := self.mailboxes.get(device_id)) is not None:
            mailbox.take_back(downlinks.unacknowledged)
