"""Who is registered, since when and until when (OMA LwM2M 1.1 §6.2).

Times are seconds of the platform's monotonic clock.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from broker.clock import Clock
from broker.lwm2m.silence import Silence
from wire.record import record

P = TypeVar("P")

DEFAULT_LIFETIME_S = 86_400
MAX_ENDPOINT = 64
MAX_LIFETIME_S = (1 << 31) - 1
BINDINGS = frozenset("UQSTMHN")


class Reason(StrEnum):
    """Why a registration was refused, as the journal says it."""

    BAD_REQUEST = "bad_request"
    UNSUPPORTED_VERSION = "unsupported_version"
    UNKNOWN_DEVICE = "unknown_device"
    AMBIGUOUS_NODE_ID = "ambiguous_node_id"
    ENDPOINT_MISMATCH = "endpoint_mismatch"
    SECURE_ACCESS_REQUIRED = "secure_access_required"
    FROZEN = "frozen"


class Departure(StrEnum):
    """Why a registration ended."""

    DEREGISTERED = "deregistered"
    EXPIRED = "expired"
    REPLACED = "replaced"
    FROZEN = "frozen"
    DELETED = "deleted"
    RESET = "reset"
    PROTOCOL_CHANGED = "protocol_changed"


FAREWELLS = frozenset({Departure.DEREGISTERED, Departure.FROZEN, Departure.DELETED, Departure.PROTOCOL_CHANGED})
"""After these a device is away at once: nobody has to wait for it to fall silent."""


@record
class Wish:
    """What a device asks for when it registers, or when it updates: then None leaves a thing as it is."""

    endpoint: str | None
    lifetime_s: int | None
    queue_mode: bool | None


def read_wish(query: Iterable[str], *, is_update: bool) -> Wish | Reason:
    """Read the query of a registration, or of its update; parameters that nobody knows are ignored."""
    given: dict[str, str] = {}
    for one in query:
        name, _, value = one.partition("=")
        given[name] = value
    endpoint, lifetime, binding = given.get("ep"), given.get("lt"), given.get("b")
    if not is_update and not (endpoint and len(endpoint) <= MAX_ENDPOINT):
        return Reason.BAD_REQUEST
    if (lifetime is not None and not _is_lifetime(lifetime)) or (binding is not None and not _is_binding(binding)):
        return Reason.BAD_REQUEST
    if not given.get("lwm2m", "1.0").startswith("1."):
        return Reason.UNSUPPORTED_VERSION
    queue_mode = None if binding is None and is_update else "Q" in given or "Q" in (binding or "")
    return Wish(endpoint, None if lifetime is None else int(lifetime), queue_mode)


def _is_binding(text: str) -> bool:
    return text != "" and set(text) <= BINDINGS


def _is_lifetime(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10 and 0 < int(text) <= MAX_LIFETIME_S


@dataclass(slots=True, eq=False)
class Registration(Generic[P]):
    """A registered device, and the peer that it talks through; `version`: of the secret that let it in, if one did."""

    device_id: str
    location: str
    peer: P
    version: int | None
    lifetime_s: int
    queue_mode: bool
    expires_at: float


class Registrations(Generic[P]):
    """At most one registration a device; its silence is counted beyond it.

    `ended` is told of every registration that is over, and why. `cut` ends at once whatever rests on the secret of a
    device, and tells whether there was anything; where there is none, that lives until its next handshake.
    """

    def __init__(self, clock: Clock) -> None:
        self.silence = Silence(clock)
        self.cut: Callable[[str], bool] | None = None
        self.ended: Callable[[Registration[P], Departure], None] = lambda _registration, _departure: None
        self._by_location: dict[str, Registration[P]] = {}
        self._by_device: dict[str, Registration[P]] = {}

    def __len__(self) -> int:
        return len(self._by_device)

    def __iter__(self) -> Iterator[Registration[P]]:
        return iter(self._by_device.values())

    def of(self, device_id: str) -> Registration[P] | None:
        return self._by_device.get(device_id)

    def at(self, location: str) -> Registration[P] | None:
        return self._by_location.get(location)

    def add(self, registration: Registration[P], now: float) -> None:
        """Register a device; the registration that it had is over."""
        self.end(registration.device_id, Departure.REPLACED)
        self._by_device[registration.device_id] = registration
        self._by_location[registration.location] = registration
        self.heard(registration.device_id, now)

    def end(self, device_id: str, departure: Departure) -> None:
        """End the device's registration, if it has one."""
        registration = self._by_device.pop(device_id, None)
        if registration is not None:
            del self._by_location[registration.location]
            self.ended(registration, departure)
        if departure in FAREWELLS:
            self.silence.forget(device_id)

    def sweep(self, now: float) -> None:
        """End the registrations whose lifetime is over, and notice who has fallen silent."""
        self.silence.sweep(now)
        for one in [one for one in self._by_device.values() if now >= one.expires_at]:
            self.end(one.device_id, Departure.EXPIRED)

    def heard(self, device_id: str, now: float) -> None:
        self.silence.heard(device_id, now)
