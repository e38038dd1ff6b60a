"""How clients that are not our fleet are brought in and measured: they do what our devices do.

That is CONNECT, and after CONNACK one QoS 1 publish until its PUBACK. Each neighbour is used as well as its public
interface allows. The clients' objects are made, and their passwords signed, before the clock starts; as with our own
fleet, the garbage collector is kept off them.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from simulator.limits import collector_spared, raise_descriptor_limit
from tests.benchmarks.devices import Login, logins
from tests.benchmarks.meter import SETTLE_S, Mark, Result, connected, cpu_s, mark
from tests.benchmarks.servers import Server

DEADLINE_S = 180.0
UNDER_WAY = 256
"""Clients between CONNECT and PUBACK: enough to keep both sides busy, too few for their queues to grow."""


@dataclass(slots=True)
class Progress:
    """How many clients are accepted and recovered, and since when all of them are."""

    devices: int
    accepted: int = 0
    recovered: int = 0
    accepted_at: float = 0.0
    recovered_at: float = 0.0

    def accept(self) -> None:
        self.accepted += 1
        self.accepted_at = time.monotonic()

    def recover(self) -> None:
        self.recovered += 1
        self.recovered_at = time.monotonic()

    def wall(self, started: Mark) -> Result:
        return {"accepted_s": self.accepted_at - started.wall_s, "recovered_s": self.recovered_at - started.wall_s}

    @property
    def done(self) -> bool:
        return self.recovered >= self.devices


def ramp(server: Server, devices: int, make: Callable[[list[Login], Progress], Callable[[], None]]) -> Result:
    """Measure what `make` returns: the work of connecting these clients, told of their progress."""
    raise_descriptor_limit()
    empty = mark(server.pid)
    progress = Progress(devices)
    connect = make(logins(devices), progress)
    with collector_spared():
        before, engine_cpu_s = mark(server.pid), server.engine and cpu_s(server.engine)
        connect()
        after = mark(server.pid)
        time.sleep(SETTLE_S)
        idle = mark(server.pid)
    engine = {"engine_cpu_s": cpu_s(server.engine) - engine_cpu_s} if server.engine else {}
    return progress.wall(before) | connected(empty, before, after, idle) | engine


def own_address() -> str:
    """An address of 127.0.0.0/8 that no process of late has used.

    paho-mqtt, which aiomqtt is built upon, binds every socket before it connects; among the ports of 127.0.0.1 that
    earlier runs have used, each bind would take milliseconds.
    """
    high, low = divmod(os.getpid(), 250)
    return f"127.{1 + high // 250 % 250}.{high % 250}.{1 + low}"
