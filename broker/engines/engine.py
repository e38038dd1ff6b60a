"""What every engine is to the gate."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from broker.auth.decision import Reason
from broker.sessions import Session
from wire.mqtt import ConnAck, Connect


@dataclass(frozen=True, slots=True)
class Ready:
    """The engine has taken a session; `answer` is its own CONNACK, if it is a broker."""

    answer: ConnAck | None = None


@dataclass(frozen=True, slots=True)
class NotReady:
    """The engine could not be had, or would not have the session; then `answer` is its own CONNACK."""

    reason: Reason
    detail: str
    answer: ConnAck | None = None


Opened = Callable[[Ready | NotReady], None]

READY = Ready()


class Engine(Protocol):
    """Carries messages between devices; it sees neither their secrets nor their `$oc` topics."""

    async def start(self) -> None:
        """Be ready for sessions, as far as that is ours; raises SettingsError for what cannot be used."""

    async def stop(self) -> None: ...

    def open(self, session: Session, packet: Connect, opened: Opened) -> None:
        """Give a session its line at once, and call `opened` once, now or later, unless the line is left before."""

    def forget(self, device_id: str) -> None:
        """Forget what is kept of a device that has no session."""

    def sweep(self) -> None:
        """Called every now and then, for what is not urgent."""
