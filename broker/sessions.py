"""Who is online: at most one session a device, with the slot and secret version that let it in."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from broker.access.downlinks import Downlinks
from broker.access.terms import Terms
from broker.auth.registry import Slot
from broker.presence import Presence
from wire.mqtt import Packet


class Ending(StrEnum):
    """Why a connection ended, as the journal says it."""

    FORCED_RESET = "forced_reset"
    FORCED_OFFLINE = "forced_offline"
    FROZEN = "frozen"
    DELETED = "deleted"
    TAKE_OVER = "take_over"
    CLIENT_DISCONNECT = "client_disconnect"
    CONNECTION_LOST = "connection_lost"
    KEEPALIVE = "keepalive"
    CONNECT_TIMEOUT = "connect_timeout"
    PROTOCOL_ERROR = "protocol_error"
    TOPIC_POLICY = "topic_policy"
    SLOW_CONSUMER = "slow_consumer"
    INTERNAL_ERROR = "internal_error"
    STOPPING = "stopping"


class Link(Protocol):
    """The connection under a session."""

    def send(self, data: bytes) -> None:
        """Send at the end of this turn of the loop, after the journal."""

    def cut(self, ending: Ending) -> None:
        """End the session now; what was due still goes out, what comes in no longer counts."""


@dataclass(slots=True, eq=False)
class Session:
    """An accepted, live connection of a device; its state is kept for `keep_s` when it ends, 0 = not at all."""

    device_id: str
    slot: Slot
    version: int
    client_id: str
    peer: str
    connected_at: datetime
    link: Link = field(repr=False)
    terms: Terms
    downlinks: Downlinks = field(repr=False)
    keep_s: int = 0

    @property
    def has_system_topics(self) -> bool:
        """A ROMA device connects as its client id and has no `$oc` topics; an IoTDA device's client id is longer."""
        return self.client_id != self.device_id

    def send(self, packet: Packet) -> bool:
        """Send a packet in the client's MQTT version, unless the client takes none of that size [MQTT-3.1.2-24]."""
        data = packet.encode(self.terms.level)
        if len(data) > self.terms.maximum_packet_size:
            return False
        self.link.send(data)
        return True


class Watcher(Protocol):
    """Who wants to know of every device that comes or goes; it is called in the middle of that."""

    def came(self, session: Session) -> None:
        """A device is online, for the first time or again."""

    def went(self, session: Session, utc: datetime) -> None:
        """A device is offline: nothing took its session over."""


class Sessions:
    """The live sessions by device id, and what is known of those that were."""

    def __init__(self) -> None:
        self._live: dict[str, Session] = {}
        self.presence = Presence()
        self.watcher: Watcher | None = None

    def __len__(self) -> int:
        return len(self._live)

    def __iter__(self) -> Iterator[Session]:
        return iter(self._live.values())

    def __contains__(self, device_id: str) -> bool:
        return device_id in self._live

    def get(self, device_id: str) -> Session | None:
        return self._live.get(device_id)

    def attach(self, session: Session) -> None:
        """Make this the device's session; the caller has cut the one before."""
        self._live[session.device_id] = session
        self.presence.entered(session.device_id, session.connected_at)
        if self.watcher is not None:
            self.watcher.came(session)

    def detach(self, session: Session, utc: datetime, *, for_good: bool = True) -> bool:
        """Remove this very session; a session that was taken over removes nothing.

        Not `for_good` is an end that another session of the device follows at once: to whoever watches it is none.
        """
        if self._live.get(session.device_id) is not session:
            return False
        del self._live[session.device_id]
        self.presence.left(session.device_id, utc)
        if self.watcher is not None and for_good:
            self.watcher.went(session, utc)
        return True

    def cut(self, device_id: str, ending: Ending) -> bool:
        """Cut the device's session, if it has one."""
        session = self._live.get(device_id)
        if session is None:
            return False
        session.link.cut(ending)
        return True
