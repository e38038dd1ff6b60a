"""Builds what a scenario asks for: identities, devices, fleets; and provisions them."""

import asyncio
import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import accumulate
from typing import Any

from simulator.clock import Clock
from simulator.control import Control
from simulator.credentials import fingerprint, is_psk
from simulator.device.backoff import jitter
from simulator.device.keyring import Fallback, Keyring, Slot
from simulator.device.lifecycle import Device
from simulator.device.profiles import PROFILES, Profile
from simulator.dialects.dialect import Dialect
from simulator.dialects.lwm2m import Lwm2mDialect
from simulator.dialects.mqtt import MqttDialect
from simulator.driver import Driver, Surroundings
from simulator.errors import UsageError
from simulator.fleet import Fleet, Telemetry
from simulator.identities import read_identities
from simulator.journal import Journal
from simulator.ledger import Identity, Ledger
from simulator.links.engines import engine_named, lwm2m_engine
from simulator.links.link import Endpoint, Endpoints, LinkEngine, LinkOptions
from simulator.links.lwm2m.options import Lwm2mOptions, Sleep
from simulator.links.tls import trusting
from simulator.scenario.checks import link_problems
from simulator.scenario.fleets import Fleet as FleetModel
from simulator.scenario.fleets import Telemetry as TelemetryModel
from simulator.scenario.model import Scenario
from simulator.scheduler import Scheduler

PROFILE_DRAW = -1
ENDPOINT = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
MQTT_LEVELS = {"3.1.1": 4, "5": 5}


@dataclass(frozen=True, slots=True)
class World:
    """What a run works with; what links wait for goes on when the devices' own timers are cleared."""

    fleets: Mapping[str, Fleet]
    engines: Sequence[LinkEngine[Any]]
    scheduler: Scheduler
    link_scheduler: Scheduler
    ledger: Ledger
    journal: Journal
    clock: Clock

    @property
    def open_links(self) -> int:
        return sum(engine.open_links for engine in self.engines)


class Builder:
    """Makes a World; `crashed(device_id, error)` hears of every bug that a device's guard caught."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        crashed: Callable[[str, Exception], None],
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._crashed = crashed
        self._scheduler = Scheduler(asyncio.get_running_loop())
        self._link_scheduler = Scheduler(asyncio.get_running_loop())

    def build(self, scenario: Scenario, endpoints: Endpoints) -> tuple[World, list[Identity]]:
        """Make all fleets of a scenario, and tell which devices must be provisioned."""
        ledger = Ledger(scenario.seed)
        fleets: dict[str, Fleet] = {}
        engines: list[LinkEngine[Any]] = []
        identities: list[Identity] = []
        for name, settings in scenario.fleets.items():
            members = fleet_identities(name, settings, ledger)
            identities += members
            engines.append(_engine(settings, self._link_scheduler, endpoints))
            fleets[name] = self._fleet(name, settings, members, scenario.seed, engines[-1])
        twice = len(identities) - len({one.device_id for one in identities})
        if twice:
            raise UsageError(f"{twice} device ids stand in more than one fleet; a device belongs to one")
        sizes = {name: len(fleet.drivers) for name, fleet in fleets.items()}
        for problem in link_problems(scenario.fleets, sizes):
            raise UsageError(".".join(map(str, problem.location)) + f": {problem.message}")
        schedulers = self._scheduler, self._link_scheduler
        return World(fleets, engines, *schedulers, ledger, self._journal, self._clock), identities

    def _fleet(
        self, name: str, settings: FleetModel, members: Sequence[Identity], seed: int, engine: LinkEngine[Any]
    ) -> Fleet:
        around = Surroundings(
            engine=engine,
            dialect=_dialect(settings, members),
            scheduler=self._scheduler,
            journal=self._journal,
            clock=self._clock,
            crashed=self._crashed,
            clock_skew=timedelta(seconds=settings.clock_skew),
        )
        profiles = share_out(settings.profiles, [one.device_id for one in members], seed)
        drivers = []
        for identity in members:
            profile = profiles[identity.device_id]
            fallback = _fallback(settings, profile)
            keyring = Keyring.of(identity.primary, identity.secondary, fallback)
            drivers.append(Driver(Device(identity.device_id, keyring, profile, seed), around))
            presents = fallback.slots if around.dialect.shows_secret else ()
            self._introduce(name, settings, identity, profile, presents)
        return Fleet(name, drivers, self._scheduler, _telemetry(settings.telemetry))

    def _introduce(
        self, fleet: str, settings: FleetModel, identity: Identity, profile: Profile, presents: tuple[Slot, ...]
    ) -> None:
        primary = fingerprint(identity.primary)
        secondary = fingerprint(identity.secondary) if identity.secondary else None
        self._journal.write(
            "device",
            device=identity.device_id,
            fleet=fleet,
            protocol=settings.spoken,
            profile=profile.name,
            presents=presents,
            primary=primary,
            secondary=secondary,
            platform_primary=primary,
            platform_secondary=secondary,
        )


async def provision(control: Control, identities: Sequence[Identity]) -> None:
    """Register the devices at the platform, all or none; UsageError when it does not take them."""
    answer = await control.provision(identities)
    if not answer.ok:
        raise UsageError(f"the platform did not take the devices: {answer.problem}")


def fleet_identities(name: str, settings: FleetModel, ledger: Ledger) -> list[Identity]:
    """A fleet's devices: read from its file, or drawn from the seed. UsageError for one that the fleet cannot play."""
    if settings.devices is not None:
        identities = [registered_as(settings, one) for one in read_identities(settings.devices)]
        for identity in identities:
            ledger.enrol(identity)
        return identities
    assert settings.count is not None, "the model demands a count or a file"
    width = len(str(settings.count))
    names = (f"keyturn_{name}-{number:0{width}}" for number in range(1, settings.count + 1))
    return [registered_as(settings, ledger.draw_identity(device_id, settings.slots)) for device_id in names]


def registered_as(settings: FleetModel, identity: Identity) -> Identity:
    """Make a device one of its fleet's protocol. UsageError for a secret that cannot be a key."""
    secure = settings.scheme in ("mqtts", "coaps")
    if settings.protocol == "mqtt":
        return replace(identity, secure_access=True) if secure else identity
    if not ENDPOINT.fullmatch(identity.endpoint):
        why = "expected 1 to 64 of letters, digits, '_', '-', '.' and ':' as the name of an LwM2M endpoint"
        raise UsageError(f"device {identity.device_id}: bad node_id, {why}")
    if not is_psk(identity.primary):
        why = "expected 8 to 32 hexadecimal digits, an even number of them, as the secret of an LwM2M device"
        raise UsageError(f"{settings.devices}: device {identity.device_id}: bad primary secret, {why}")
    return replace(identity, protocol="coap", secure_access=secure)


def _fallback(settings: FleetModel, profile: Profile) -> Fallback:
    if settings.protocol == "lwm2m":
        return Fallback.PRIMARY_ONLY
    return profile.fallback if settings.fallback == "profile" else Fallback(settings.fallback)


def _engine(settings: FleetModel, scheduler: Scheduler, endpoints: Endpoints) -> LinkEngine[Any]:
    """Make the engine of a fleet's links; the platform was asked for what the fleet speaks."""
    endpoint: Endpoint | None = getattr(endpoints, settings.scheme)
    assert endpoint is not None, "a target without it is none"
    if settings.protocol == "lwm2m":
        nap = settings.sleep
        sleep = Sleep(nap.asleep, nap.awake, nap.keeps_session) if nap else None
        return lwm2m_engine(scheduler, endpoint, Lwm2mOptions(lifetime_s=settings.lifetime, sleep=sleep))
    level, clean = MQTT_LEVELS[settings.mqtt], settings.session == "clean"
    tls = _trusting(endpoints.ca) if settings.scheme == "mqtts" else None
    options = LinkOptions(keepalive_s=int(settings.keepalive), level=level, clean=clean, tls=tls)
    return engine_named(settings.link)(scheduler, endpoint, options)


def _trusting(ca: str | None) -> ssl.SSLContext:
    try:
        return trusting(ca)
    except ValueError as error:
        raise UsageError(f"platform.ca: {error}") from error


def _dialect(settings: FleetModel, members: Sequence[Identity]) -> Dialect[Any]:
    if settings.protocol == "mqtt":
        return MqttDialect(settings.sign)
    endpoints = {one.device_id: one.endpoint for one in members if one.endpoint != one.device_id}
    return Lwm2mDialect(endpoints, shows_secret=settings.scheme == "coaps")


def share_out(shares: Mapping[str, float], device_ids: Sequence[str], seed: int) -> dict[str, Profile]:
    """Deal profiles to devices: exact shares, in an order drawn from the seed."""
    ranked = shuffled(device_ids, seed, PROFILE_DRAW)
    bounds = [round(share * len(ranked)) for share in accumulate(shares.values())]
    dealt: dict[str, Profile] = {}
    for name, start, end in zip(shares, [0, *bounds], bounds, strict=False):
        dealt |= dict.fromkeys(ranked[start:end], PROFILES[name])
    return dealt


def shuffled(device_ids: Sequence[str], seed: int, draw: int) -> list[str]:
    """An order that depends on nothing but the seed and which draw it is."""
    return sorted(device_ids, key=lambda device_id: jitter(seed, device_id, draw))


def _telemetry(settings: TelemetryModel | None) -> Telemetry | None:
    return Telemetry(settings.every, settings.qos, settings.size or 0) if settings else None
