"""The engines that a fleet's links can run on, by the name that a scenario gives them."""

from collections.abc import Callable

from simulator.links.link import Endpoint, EngineName, LinkEngine, LinkOptions
from simulator.links.native import NativeEngine
from simulator.scheduler import Scheduler

EngineFactory = Callable[[Scheduler, Endpoint, LinkOptions], LinkEngine]


def engine_named(name: EngineName) -> EngineFactory:
    if name == "paho":
        from simulator.links.paho import PahoEngine  # only a run that uses it pays for the library

        return PahoEngine
    return NativeEngine
