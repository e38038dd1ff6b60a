"""The rules that every link obeys.

A link is one attempt. It never raises for the network: it tells its owner `Accepted` at most once, and ends in
exactly one of `Refused`, `Unreachable` or `LinkLost` — or in silence after `close`, whose caller wants no news.
The terminal event comes after the link's file descriptor is gone, so that the next attempt needs no second one.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self, TypeVar

from simulator.device.events import LinkEvent
from simulator.links.outbox import Message, Outbox

SCHEMES = ("mqtt", "mqtts", "coap", "coaps")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the platform takes devices; a resolved address, so that no attempt waits for a name server.

    `name` is what its certificate must say, where that is not the address.
    """

    host: str
    port: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The endpoints of a platform; None for what it does not serve, or nobody asked for.

    `ca`: the certificates of who vouches for it (PEM); None leaves that to the machine.
    """

    mqtt: Endpoint | None = None
    mqtts: Endpoint | None = None
    coap: Endpoint | None = None
    coaps: Endpoint | None = None
    ca: str | None = None

    @classmethod
    def told(cls, words: Mapping[str, Any], ca: str | None = None) -> Self:
        """Read them in what a keyturn platform tells of itself."""
        found = {scheme: words[scheme] for scheme in SCHEMES if words.get(scheme) is not None}
        return cls(**{scheme: Endpoint(one["host"], one["port"]) for scheme, one in found.items()}, ca=ca)


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """How a fleet's MQTT links behave; times in seconds.

    `level`: the MQTT protocol level, 4 for 3.1.1 and 5 for 5.0. `clean`: every session begins anew; otherwise the
    platform is asked to keep it, in 5.0 for `session_expiry_s` after a link ended. `maximum_packet_size`: the bytes of
    the largest packet that a device takes; only 5.0 can say so. `tls` verifies the platform; None speaks in the clear.
    """

    keepalive_s: int = 120
    connect_timeout_s: float = 30.0
    level: int = 4
    clean: bool = True
    session_expiry_s: int = 86_400
    maximum_packet_size: int | None = None
    tls: ssl.SSLContext | None = None


class LinkOwner(Protocol):
    """The device that a link works for."""

    def link_event(self, event: LinkEvent) -> None: ...

    def message_arrived(self, topic: str, payload: bytes) -> None: ...

    def message_acknowledged(self, message: Message) -> None: ...

    def messages_sent(self, messages: list[Message]) -> None: ...

    def power_saving(self, *, on: bool) -> None:
        """The device hears nothing from now on, or hears again."""


class Link(Protocol):
    """One attempt to reach the platform, and the connection that came of it."""

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish with QoS 0; without effect once the link has ended."""

    def send_due(self) -> None:
        """Send what the outbox has room for (QoS 1)."""

    def subscribe(self, topic_filter: str, qos: int) -> None:
        """Ask for a subscription; without effect once the link has ended."""

    def close(self) -> None:
        """End the link cleanly; no event follows."""

    def cut(self, reason: str) -> None:
        """End the link as a broken network would; its terminal event follows."""


EngineName = Literal["native", "paho", "aiomqtt"]

C_contra = TypeVar("C_contra", contravariant=True)


class LinkEngine(Protocol[C_contra]):
    """Opens links for a fleet; `open_links` counts those that still hold a descriptor or want one."""

    @property
    def open_links(self) -> int: ...

    def open(self, owner: LinkOwner, attempt: int, credentials: C_contra, outbox: Outbox) -> Link: ...
