"""The devices of every run: the same ones, with the same secrets and the same first words, whoever plays them."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from simulator.control import Control
from simulator.credentials import MqttCredentials, iotda_credentials
from simulator.ledger import Identity, Ledger
from simulator.messages import connect_event, system_topic
from simulator.scenario.model import Scenario
from simulator.world import fleet_identities, provision

FLEET = "meters"
KEEPALIVE_S = 120
QUIET, USUAL = "huawei-java", "full-jitter"
"""Profiles: one whose devices subscribe to nothing, and the one that scenarios have when they name none."""


@dataclass(frozen=True, slots=True)
class Login:
    """What a device presents, and where it says that it is here."""

    credentials: MqttCredentials
    topic: str

    @property
    def greeting(self) -> bytes:
        """The connect event, as the fleet's devices publish it."""
        event = connect_event(self.credentials.username, datetime.now(UTC))
        return orjson.dumps({**event, "seq": 1})


def scenario(devices: int, *timeline: dict[str, Any], profile: str = USUAL, **more: str) -> Scenario:
    fleet = {"count": devices, "profiles": {profile: "100%"}, "keepalive": KEEPALIVE_S, **more}
    return Scenario.model_validate(
        {"name": "figures", "intent": "routine", "fleets": {FLEET: fleet}, "timeline": list(timeline)}
    )


def identities(devices: int) -> list[Identity]:
    """The identities that a fleet of this size has."""
    plan = scenario(devices, {"id": "up", "start": [FLEET]})
    return fleet_identities(FLEET, plan.fleets[FLEET], Ledger(plan.seed))


def logins(devices: int) -> list[Login]:
    now = datetime.now(UTC)
    return [
        Login(iotda_credentials(one.device_id, one.primary, now), system_topic(one.device_id, "events/up"))
        for one in identities(devices)
    ]


async def register(api: str, devices: int) -> None:
    """Provision them at a platform."""
    async with Control(api) as control:
        await provision(control, identities(devices))
