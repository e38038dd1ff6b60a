"""What the control API works on."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from broker.async_commands import AsyncCommands
from broker.auth.registry import Registry
from broker.clock import Clock
from broker.control_api.callers import Callers
from broker.control_api.tenant import Tenant
from broker.downlinks import CommandDesk, MessageDesk
from broker.journal import Journal
from broker.lwm2m.registrations import Registrations
from broker.roma import RomaLink
from broker.rotation import Rotation
from broker.routing_rules import RoutingRules
from broker.sessions import Sessions
from broker.statistics import Figures, Statistics


@dataclass(frozen=True, slots=True)
class Services:
    """The platform's parts, as the HTTP side sees them; `ids` yields a new request id each time.

    `more_ports` are those that are served beside, by their schemes mqtts, coap and coaps; `ca` is the certificate of
    our own authority, if it vouches for us (PEM).
    `answer_timeout_s` is how long a caller of the vendor's API waits for a device's answer.
    """

    run: str
    host: str
    mqtt_port: int
    more_ports: Mapping[str, int]
    ca: str | None
    callers: Callers
    tenant: Tenant
    ids: Iterator[str]
    registry: Registry
    sessions: Sessions
    registrations: Registrations[Any]
    rotation: Rotation
    roma: RomaLink
    commands: CommandDesk
    async_commands: AsyncCommands
    messages: MessageDesk
    rules: RoutingRules
    clock: Clock
    journal: Journal
    statistics: Statistics
    answer_timeout_s: float
    figures: Callable[[], Awaitable[Figures]]
    stop: Callable[[], None]
