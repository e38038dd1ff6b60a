"""The engines that a fleet's links can run on; only a run that uses a library pays for it."""

from collections.abc import Callable
from typing import Any

from simulator.links.link import Endpoint, EngineName, LinkEngine, LinkOptions
from simulator.links.lwm2m.options import Lwm2mOptions
from simulator.links.native import NativeEngine
from simulator.scheduler import Scheduler

EngineFactory = Callable[[Scheduler, Endpoint, LinkOptions], LinkEngine[Any]]


def engine_named(name: EngineName) -> EngineFactory:
    if name == "paho":
        from simulator.links.paho import PahoEngine

        return PahoEngine
    if name == "aiomqtt":
        from simulator.links.aiomqtt import AiomqttEngine

        return AiomqttEngine
    return NativeEngine


def lwm2m_engine(scheduler: Scheduler, endpoint: Endpoint, options: Lwm2mOptions) -> LinkEngine[Any]:
    from simulator.links.lwm2m.engine import Lwm2mEngine

    return Lwm2mEngine(scheduler, endpoint, options)
