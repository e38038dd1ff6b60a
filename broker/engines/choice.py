"""Makes the engine that a platform is set to; only one that uses a library pays for it."""

import asyncio

from broker.access.delivery import Delivery
from broker.access.router import Router
from broker.access.turns import Turns
from broker.engines.address import Kind
from broker.engines.builtin import Builtin
from broker.engines.engine import Engine
from broker.engines.relay import Relay
from broker.notes import Notes
from broker.settings import Settings


def engine_for(settings: Settings, delivery: Delivery, notes: Notes, turns: Turns, tasks: asyncio.TaskGroup) -> Engine:
    if settings.engine.kind is Kind.BUILTIN:
        return Builtin(Router(), delivery)
    return Relay(settings, delivery, notes, turns, tasks)
