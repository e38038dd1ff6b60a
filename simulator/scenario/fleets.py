"""The fleets of a scenario: how many devices, of which protocol, and how they behave."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from simulator.device.keyring import BOTH_SLOTS, Slot
from simulator.device.profiles import PROFILES
from simulator.links.link import EngineName
from simulator.scenario.strict import Problem, Strict, refuse
from simulator.scenario.values import (
    Bit,
    DeviceFile,
    KeepaliveSeconds,
    LifetimeSeconds,
    MqttVersion,
    PositiveSeconds,
    Share,
    SignedSeconds,
)
from simulator.suggestions import hint

LARGEST_FLEET = 1_000_000
LARGEST_MESSAGE = 1_048_576
LARGEST_REPORT = 1024 - 128
"""The vendor's platform takes 1 KB from an NB-IoT device (devg-iothub/iot_02_0213); the rest of a report is JSON."""

FallbackName = Literal[
    "primary-only", "primary-then-secondary", "sticky-last-good", "alternate", "newest-first", "profile"
]
Protocol = Literal["mqtt", "lwm2m"]
Security = Literal["none", "tls", "psk"]
SECURITIES: Mapping[Protocol, Sequence[Security]] = {"mqtt": ("none", "tls"), "lwm2m": ("psk", "none")}
"""How each protocol can be protected, the default first."""

SCHEMES: Mapping[tuple[Protocol, Security], str] = {
    ("mqtt", "none"): "mqtt",
    ("mqtt", "tls"): "mqtts",
    ("lwm2m", "none"): "coap",
    ("lwm2m", "psk"): "coaps",
}
SPOKEN = {"mqtt": "MQTT", "mqtts": "MQTT (TLS)", "coap": "LwM2M (plain)", "coaps": "LwM2M (DTLS)"}
OF_ONE_PROTOCOL: Mapping[str, Protocol] = {
    "fallback": "mqtt",
    "sign": "mqtt",
    "keepalive": "mqtt",
    "clock_skew": "mqtt",
    "link": "mqtt",
    "session": "mqtt",
    "mqtt": "mqtt",
    "lifetime": "lwm2m",
    "sleep": "lwm2m",
}


class Telemetry(Strict):
    """What a device reports while it is online; `size` is the payload's bytes, at least."""

    every: PositiveSeconds
    qos: Bit = 1
    size: Annotated[int, Field(ge=1, le=LARGEST_MESSAGE)] | None = None


class Sleep(Strict):
    """Power saving: after `awake` without a word a device hears nothing for `asleep`, unless it has to report.

    Without `keeps_session` it has lost its DTLS session when it wakes up, and shakes hands anew.
    """

    asleep: PositiveSeconds
    awake: PositiveSeconds
    keeps_session: bool = True


class Fleet(Strict):
    """Devices of one kind: `count` of them with secrets drawn from the seed, or the ones listed in a file.

    MQTT devices present a primary and a secondary secret. `fallback: profile` leaves their order to each profile.
    `clock_skew` is added to a device's clock.
    `link` is the MQTT client inside its devices; a run takes few of them on aiomqtt.
    `security`: MQTT speaks in the clear (none) or over tls, LwM2M over DTLS (psk) or in the clear (none).
    LwM2M devices have one secret, the primary; in the clear they show none at all. Their registration is
    refreshed before its `lifetime` ends.
    """

    count: Annotated[int, Field(ge=1, le=LARGEST_FLEET)] | None = None
    devices: DeviceFile | None = None
    protocol: Protocol = "mqtt"
    secrets: Literal["primary", "both"] | None = None
    profiles: Annotated[Mapping[str, Share], Field(min_length=1)] = {"full-jitter": 1.0}
    telemetry: Telemetry | None = None
    fallback: FallbackName = "primary-then-secondary"
    sign: Bit | None = None
    keepalive: KeepaliveSeconds = 120
    clock_skew: SignedSeconds = 0.0
    link: EngineName = "native"
    session: Literal["clean", "persistent"] = "clean"
    mqtt: MqttVersion = "3.1.1"
    security: Security | None = None
    lifetime: LifetimeSeconds = 86_400
    sleep: Sleep | None = None

    @property
    def slots(self) -> Sequence[Slot]:
        """The slots in which its devices have a first secret: by default all that their protocol ever uses."""
        wanted = self.secrets or ("both" if self.protocol == "mqtt" else "primary")
        return BOTH_SLOTS if wanted == "both" else (Slot.PRIMARY,)

    @property
    def scheme(self) -> str:
        """The scheme of the addresses that it connects to."""
        return SCHEMES[self.protocol, self.security or SECURITIES[self.protocol][0]]

    @property
    def spoken(self) -> str:
        """The protocol in a reader's words, with what protects it."""
        return SPOKEN[self.scheme]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.count is None) == (self.devices is None):
            raise ValueError("a fleet needs either count or devices, and not both")
        refuse([*self._problems_of_profiles(), *self._problems_of_protocol()])
        return self

    def _problems_of_profiles(self) -> Iterator[Problem]:
        for name in self.profiles:
            if name not in PROFILES:
                yield Problem(
                    ("profiles", name, "[key]"), f"unknown profile {name!r}{hint(name, PROFILES, 'profiles')}"
                )
        total = sum(self.profiles.values())
        if abs(total - 1) > 1e-9:
            yield Problem(("profiles",), f"the shares sum to {total * 100:.10g}%, not to 100%")

    def _problems_of_protocol(self) -> Iterator[Problem]:
        for key, protocol in OF_ONE_PROTOCOL.items():
            if key in self.model_fields_set and protocol != self.protocol:
                yield Problem((key,), f"{key} belongs to protocol {protocol}, and this fleet's is {self.protocol}")
        if self.security is not None and self.security not in (known := SECURITIES[self.protocol]):
            yield Problem(("security",), f"for protocol {self.protocol} {' or '.join(known)} is needed")
        size = self.telemetry.size if self.telemetry else None
        if self.protocol == "lwm2m" and size is not None and size > LARGEST_REPORT:
            yield Problem(("telemetry", "size"), f"at most {LARGEST_REPORT} is allowed for protocol lwm2m, not {size}")
