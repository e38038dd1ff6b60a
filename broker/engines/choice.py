"""Makes the engine that a platform is set to; only one that uses a library pays for it."""

import asyncio

from broker.access.delivery import Delivery
from broker.access.router import Router
from broker.access.turns import Turns
from broker.engines.address import Kind
from broker.engines.builtin import Builtin
from broker.engines.engine import Engine
from broker.engines.relay import Relay
from broker.errors import SettingsError
from broker.notes import Notes
from broker.settings import Settings


def engine_for(settings: Settings, delivery: Delivery, notes: Notes, turns: Turns, tasks: asyncio.TaskGroup) -> Engine:
    if settings.engine.kind is Kind.BUILTIN:
        return Builtin(Router(), delivery)
    if settings.engine.kind is Kind.AMQTT:
        return _amqtt()(settings, delivery, notes, turns, tasks)
    return Relay(settings, delivery, notes, turns, tasks)


def _amqtt() -> type[Relay]:
    try:
        from broker.engines.amqtt import Amqtt
    except ImportError as error:
        raise SettingsError(f"engine amqtt: {error}; it comes with: pip install 'keyturn[amqtt]'") from error
    return Amqtt
