"""One address that talks to us, and what the platform remembers of it while a device is registered there."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from aiocoap import Message

from broker.access.payloads import Json
from broker.lwm2m.registrations import Registration
from wire.coap import CoapPeer

Address = tuple[Any, ...]
"""Host and port, and what else the kernel says of an IPv6 address."""


@dataclass(slots=True, eq=False)
class Peer:
    """One address that talks to us; over DTLS it has proved `identity`, with its secret of `version`.

    It came, or was last registered, at `since`. `watch` is to be called when something was said to it unasked.
    Nothing reaches one that is `deaf`, until it is heard again.
    """

    address: Address
    coap: CoapPeer
    since: float
    watch: "Callable[[Peer], None]" = field(repr=False)
    identity: bytes | None = None
    version: int | None = None
    registration: "Registration[Peer] | None" = None
    observing: bytes = field(default=b"", repr=False)
    written: dict[bytes, str] = field(default_factory=dict)
    """Commands whose write is not acknowledged, by its token."""
    commands: dict[int, str] = field(default_factory=dict)
    """Commands that were written, by the number under which the device answers them."""
    last_mid: int = 0
    deaf: bool = False

    @property
    def name(self) -> str:
        return f"{self.address[0]}:{self.address[1]}"

    def leave(self, now: float) -> None:
        """The registration is over, or goes on elsewhere; the device has forgotten what it was asked to report."""
        self.registration = None
        self.since = now
        self.coap.cancel((self.observing, *self.written), now)
        self.observing = b""
        self.written.clear()
        self.commands.clear()


class Writer(Protocol):
    """Who has commands for devices."""

    def go_on(self, device_id: str, now: float) -> None:
        """A device shows itself."""

    def acknowledged(self, peer: Peer, token: bytes, message: Message, now: float) -> bool: ...

    def take_back(self, device_id: str, peer: Peer) -> None:
        """What was written to a peer and is not acknowledged was not received, as far as we know."""

    def reported(self, peer: Peer, report: Json) -> None: ...
