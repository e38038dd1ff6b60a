"""A platform with one of the engines behind its gate, and three devices."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.broker.engines.stage import Engine
from tests.broker.rig import Rig, connect, running
from tests.support.mosquitto import mosquitto
from tests.support.rabbitmq import RabbitMq, rabbitmq

DEVICES = ("d1", "d2", "d3")


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Node"]:
    """RabbitMQ, when the first test wants it: it takes long to start."""
    with ExitStack() as stack:
        yield Node(stack, tmp_path_factory)


class Node:
    def __init__(self, stack: ExitStack, folders: pytest.TempPathFactory) -> None:
        self._stack = stack
        self._folders = folders
        self._running: RabbitMq | None = None

    def get(self) -> RabbitMq:
        if self._running is None:
            self._running = self._stack.enter_context(rabbitmq(self._folders.mktemp("rabbitmq")))
        return self._running


@pytest.fixture
async def engine(request: pytest.FixtureRequest, tmp_path: Path, node: Node) -> AsyncIterator[Engine]:
    name: str = request.param
    if name == "rabbitmq":
        running_node = node.get()
        url = f"mqtt://{running_node.user}:{running_node.password}@127.0.0.1:{running_node.mqtt_port}"
        found = Engine(name, url)
        for device_id in DEVICES:  # what other tests have left there
            client, _ = await found.direct(connect(client_id=device_id))
            client.writer.close()
        yield found
    elif name.startswith("mosquitto"):
        with tempfile.TemporaryDirectory() as short:  # a socket's path may be 107 bytes long
            path = Path(short) / "broker.sock"
            async with mosquitto(tmp_path, lines=[f"listener 0 {path}"]) as broker:
                url = f"unix:{path}" if name == "mosquitto-unix" else f"mqtt://127.0.0.1:{broker.port}"
                found = Engine(name, url, broker)
                await found.serves()
                yield found
    else:
        yield Engine(name, name)


@pytest.fixture
async def rig(tmp_path: Path, engine: Engine) -> AsyncIterator[Rig]:
    async with running(tmp_path, engine=engine.address, linger_s=0.2, stuck_s=0.02) as rig:
        await rig.provision(*DEVICES)
        yield rig
