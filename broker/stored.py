"""Stored state: what is kept of a device while it is away, if it asked for that, and its mailbox in any case.

Its subscriptions stay with the engine, its unacknowledged and its queued messages in its `Downlinks`. All of it is
keyed by device id: a client id changes every hour. It lives in memory, and ends with the platform.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from broker.access.downlinks import Downlinks
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


class Keeper(Protocol):
    """Who keeps the subscriptions that belong to stored states."""

    def forget(self, device_id: str) -> None: ...


class StoredStates:
    """The stored states of devices that have no session; a session has its state itself.
    `mailboxes` are of all devices that were ever sent one of the vendor's messages.
    """

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self.engine: Keeper | None = None
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
            self._forget(session.device_id, session.downlinks)

    def look_up(self, device_id: str) -> Downlinks | None:
        """Return the state that a device's next session goes on with, if there is any; what is too old is dropped."""
        found = self.get(device_id)
        if found is None:
            self.drop(device_id, Loss.EXPIRED)
        return found

    def take(self, device_id: str) -> bool:
        """The new session has the state from now on; False if there was none."""
        return self._kept.pop(device_id, None) is not None

    def give_up(self, device_id: str) -> Kept | None:
        """Somebody else has the state from now on."""
        return self._kept.pop(device_id, None)

    def adopt(self, device_id: str, kept: Kept) -> None:
        """The other way round."""
        self._kept[device_id] = kept

    def drop(self, device_id: str, loss: Loss) -> None:
        """Forget what is kept of a device, if anything is."""
        kept = self._kept.pop(device_id, None)
        if kept is None:
            return
        self._forget(device_id, kept.downlinks)
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

    def _forget(self, device_id: str, downlinks: Downlinks) -> None:
        """Have the vendor's messages wait again that were on their way: they are no state of MQTT's."""
        if self.engine is not None:
            self.engine.forget(device_id)
        if (mailbox := self.mailboxes.get(device_id)) is not None:
            mailbox.take_back(downlinks.unacknowledged)
