"""Every test of links runs on both event loops, and every behaviour test on every engine."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop

from simulator.links.aiomqtt import AiomqttEngine
from simulator.links.native import NativeEngine
from simulator.links.paho import PahoEngine
from tests.support.link_bench import EngineFactory
from tests.support.tls import OverTls

ENGINES: dict[str, EngineFactory] = {
    "native": NativeEngine,
    "paho": PahoEngine,
    "aiomqtt": AiomqttEngine,
    "native over TLS": OverTls(NativeEngine),
    "paho over TLS": OverTls(PahoEngine),
    "aiomqtt over TLS": OverTls(AiomqttEngine),
}


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.SelectorEventLoop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> EngineFactory:
    return ENGINES[request.param]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Over TLS one loop is enough: links use of a loop what they use in the clear."""
    twice = [item for item in items if "[asyncio" in item.name and "over TLS" in item.name]
    if twice:
        config.hook.pytest_deselected(items=twice)
        items[:] = [item for item in items if item not in twice]
