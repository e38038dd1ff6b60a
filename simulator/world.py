"""Builds what a scenario asks for: identities, devices, fleets; and provisions them."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import accumulate

from simulator.clock import Clock
from simulator.control import Control
from simulator.credentials import fingerprint
from simulator.device.backoff import jitter
from simulator.device.keyring import Fallback, Keyring, Slot
from simulator.device.lifecycle import Device
from simulator.device.profiles import PROFILES, Profile
from simulator.driver import Driver, Surroundings
from simulator.errors import UsageError
from simulator.fleet import Fleet, Telemetry
from simulator.identities import read_identities
from simulator.journal import Journal
from simulator.ledger import Identity, Ledger
from simulator.links.engines import engine_named
from simulator.links.link import Endpoint, LinkEngine, LinkOptions
from simulator.scenario import model
from simulator.scheduler import Scheduler

PROFILE_DRAW = -1
MQTT_LEVELS = {"3.1.1": 4, "5": 5}


@dataclass(frozen=True, slots=True)
class World:
    """What a run works with."""

    fleets: Mapping[str, Fleet]
    engines: Sequence[LinkEngine]
    scheduler: Scheduler
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

    def build(self, scenario: model.Scenario, endpoint: Endpoint) -> tuple[World, list[Identity]]:
        """Make all fleets of a scenario, and tell which devices must be provisioned."""
        ledger = Ledger(scenario.seed)
        fleets: dict[str, Fleet] = {}
        engines: list[LinkEngine] = []
        identities: list[Identity] = []
        for name, settings in scenario.fleets.items():
            members = fleet_identities(name, settings, ledger)
            identities += members
            options = LinkOptions(
                keepalive_s=int(settings.keepalive),
                level=MQTT_LEVELS[settings.mqtt],
                clean=settings.session == "clean",
            )
            engine = engine_named(settings.link)
            engines.append(engine(self._scheduler, endpoint, options))
            fleets[name] = self._fleet(name, settings, members, scenario.seed, engines[-1])
        twice = len(identities) - len({one.device_id for one in identities})
        if twice:
            raise UsageError(f"{twice} device ids stand in more than one fleet; a device belongs to one")
        return World(fleets, engines, self._scheduler, ledger, self._journal, self._clock), identities

    def _fleet(
        self, name: str, settings: model.Fleet, members: Sequence[Identity], seed: int, engine: LinkEngine
    ) -> Fleet:
        around = Surroundings(
            engine=engine,
            scheduler=self._scheduler,
            journal=self._journal,
            clock=self._clock,
            crashed=self._crashed,
            sign=settings.sign,
            clock_skew=timedelta(seconds=settings.clock_skew),
        )
        profiles = share_out(settings.profiles, [one.device_id for one in members], seed)
        drivers = []
        for identity in members:
            profile = profiles[identity.device_id]
            fallback = profile.fallback if settings.fallback == "profile" else Fallback(settings.fallback)
            keyring = Keyring.of(identity.primary, identity.secondary, fallback)
            drivers.append(Driver(Device(identity.device_id, keyring, profile, seed), around))
            self._introduce(name, identity, fallback, profile)
        return Fleet(name, drivers, self._scheduler, _telemetry(settings.telemetry))

    def _introduce(self, fleet: str, identity: Identity, fallback: Fallback, profile: Profile) -> None:
        primary = fingerprint(identity.primary)
        secondary = fingerprint(identity.secondary) if identity.secondary else None
        self._journal.write(
            "device",
            device=identity.device_id,
            fleet=fleet,
            profile=profile.name,
            presents=fallback.slots,
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


def fleet_identities(name: str, settings: model.Fleet, ledger: Ledger) -> list[Identity]:
    """A fleet's devices: read from its file, or drawn from the seed."""
    if settings.devices is not None:
        identities = read_identities(settings.devices)
        for identity in identities:
            ledger.enrol(identity)
        return identities
    assert settings.count is not None, "the model demands a count or a file"
    slots = list(Slot) if settings.secrets == "both" else [Slot.PRIMARY]
    width = len(str(settings.count))
    names = (f"keyturn_{name}-{number:0{width}}" for number in range(1, settings.count + 1))
    return [ledger.draw_identity(device_id, slots) for device_id in names]


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


def _telemetry(settings: model.Telemetry | None) -> Telemetry | None:
    return Telemetry(settings.every, settings.qos, settings.size or 0) if settings else None
