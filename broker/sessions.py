"""Who is online: at most one session a device, with the slot and secret version that let it in."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from broker.access.downlinks import Downlinks
from broker.access.terms import Terms
from broker.auth.registry import Slot
from broker.errors import DeviceOffline
from broker.journal import beginning
from broker.presence import Presence
from wire.mqtt import Disconnect, Packet, PubAck, PubComp, Publish, PubRec, PubRel, Subscribe, Unsubscribe

Answer = PubAck | PubRec | PubRel | PubComp


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
    ENGINE_CLOSED = "engine_closed"
    INTERNAL_ERROR = "internal_error"
    PROCESS_LOST = "process_lost"
    STOPPING = "stopping"


class Link(Protocol):
    """The connection under a session."""

    def send(self, data: bytes) -> None:
        """Send at the end of this turn of the loop, after the journal."""

    def cut(self, ending: Ending) -> None:
        """End the session now; what was due still goes out, what comes in no longer counts."""


class ClientLink(Link, Protocol):
    """One that we hold ourselves: what comes over it can be passed on, and held up."""

    def raw(self) -> bytes:
        """Return the packet that is being served as it came."""

    def pause_reading(self) -> None:
        """Take no more from the client until `resume_reading`: from now on it counts as silent."""

    def resume_reading(self) -> None: ...


class Line(Protocol):
    """A session's way to the engine, which carries what is not between the device and the platform.

    Codes that are None are the engine's to say; the line sends the acknowledgement of the whole packet.
    """

    def publish(self, session: "Session", packet: Publish) -> None:
        """Take a message, and see that it is acknowledged."""

    def subscribe(self, session: "Session", packet: Subscribe, codes: tuple[int | None, ...]) -> None: ...

    def unsubscribe(self, session: "Session", packet: Unsubscribe, codes: tuple[int | None, ...]) -> None: ...

    def answer(self, session: "Session", packet: Answer) -> None:
        """Take the client's word on a message of the engine's, or its next on one of its own."""

    def ping(self, session: "Session") -> None: ...

    def subscribed_qos(self, session: "Session", topic: str) -> int | None:
        """Return the QoS that a device has subscribed to a custom topic with; None if it has not."""

    def disconnect(self, packet: Disconnect) -> None:
        """The client says goodbye; `leave` follows."""

    def leave(self) -> None:
        """The session is over, or came to nothing."""

    def pause(self) -> None:
        """The client takes no more for now."""

    def resume(self) -> None: ...


@dataclass(slots=True, eq=False)
class Session:
    """An accepted connection of a device; its state is kept for `keep_s` when it ends, 0 = not at all.

    It `is_open` once the engine is ready for it and its client is told so. A guest, let in without being a device,
    has its client id for a device id, and no slot. `via` names the broker that holds the connection where that is not
    us: nothing can be sent to the device then.
    """

    device_id: str
    slot: Slot | None
    version: int | None
    client_id: str
    peer: str
    connected_at: datetime
    link: Link = field(repr=False)
    terms: Terms
    downlinks: Downlinks = field(repr=False)
    keep_s: int = 0
    line: Line | None = field(default=None, repr=False)
    is_open: bool = False
    via: str | None = None

    @property
    def engine(self) -> Line:
        """Its line, which it has from before it is open to its end."""
        assert self.line is not None, "an engine gives every session a line before anything else happens to it"
        return self.line

    @property
    def has_system_topics(self) -> bool:
        """A ROMA device connects as its client id and has no `$oc` topics; an IoTDA device's client id is longer."""
        return self.client_id != self.device_id

    @property
    def journalled(self) -> dict[str, str]:
        """What names it in the journal: a guest is no device."""
        return {"client_id": beginning(self.client_id)} if self.slot is None else {"device": self.device_id}

    def as_accepted(self) -> dict[str, object]:
        """What the journal says of it when it begins."""
        return {
            "device": self.device_id,
            "slot": self.slot,
            "version": self.version,
            "client_id": self.client_id,
            "peer": self.peer,
        }

    def as_detached(self, ending: Ending) -> dict[str, object]:
        """What the journal says of it when it is over."""
        return {
            "device": self.device_id,
            "reason": ending,
            "slot": self.slot,
            "version": self.version,
            "peer": self.peer,
        }

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
        self._arriving: dict[str, Session] = {}
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

    def reachable(self, device_id: str) -> Session | None:
        """Return the device's session if messages can be sent over it."""
        session = self._live.get(device_id)
        return session if session is not None and session.via is None else None

    def unreachable(self, device_id: str) -> DeviceOffline:
        """Return the error that says why nothing can be sent to a device."""
        session = self._live.get(device_id)
        if session is None:
            return DeviceOffline(f"device {device_id!r} is not online")
        return DeviceOffline(f"device {device_id!r} is connected to {session.via}, where it cannot be sent anything")

    def expect(self, session: Session) -> None:
        """Its CONNECT was judged, and the engine is asked: until it is attached it can only be cut."""
        self._arriving[session.device_id] = session

    def give_up(self, session: Session) -> None:
        """Expect this very session no longer."""
        if self._arriving.get(session.device_id) is session:
            del self._arriving[session.device_id]

    def attach(self, session: Session) -> None:
        """Make this the device's session; the caller has cut the one before."""
        self.give_up(session)
        session.is_open = True
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
        """Cut the device's session, and one that arrives; tells whether it is over: at another broker it is not yet."""
        arriving = self._arriving.get(device_id)
        if arriving is not None:
            arriving.link.cut(ending)
        session = self._live.get(device_id)
        if session is None:
            return False
        session.link.cut(ending)
        return session.via is None
