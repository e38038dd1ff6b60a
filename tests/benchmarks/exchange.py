"""Messages between devices, QoS 1 both ways: half of the devices send, each to one of the other half."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import cast

from simulator.limits import raise_descriptor_limit
from tests.benchmarks.devices import KEEPALIVE_S, Login, logins, register
from tests.benchmarks.meter import SETTLE_S, NotReached, Result, cpu_s
from tests.benchmarks.servers import Server
from wire.mqtt import FROM_SERVER, ConnAck, Connect, Decoder, PubAck, Publish, SubAck, Subscribe

MESSAGES = 400
"""Of each sender."""
WINDOW = 20
"""So many of a sender's are not acknowledged at a time."""
PAYLOAD = b"x" * 200
PATIENCE_S = 120.0


@dataclass(slots=True)
class Course:
    """How far all of them have come."""

    devices: int
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    done: asyncio.Event = field(default_factory=asyncio.Event)
    online: int = 0
    received: int = 0
    acknowledged: int = 0

    @property
    def wanted(self) -> int:
        return self.devices // 2 * MESSAGES

    def came(self) -> None:
        self.online += 1
        if self.online == self.devices:
            self.ready.set()

    def look(self) -> None:
        if self.received >= self.wanted and self.acknowledged >= self.wanted:
            self.done.set()


class Peer(asyncio.Protocol):
    """A device that acknowledges what it gets; a sender sends its next message when the last is acknowledged."""

    def __init__(self, login: Login, course: Course, topic: str, *, sends: bool) -> None:
        who = login.credentials
        packet = Connect(who.client_id, who.username, who.password.encode(), keepalive=KEEPALIVE_S)
        self._greeting = packet.encode()
        self._course = course
        self._decoder = Decoder(FROM_SERVER)
        self._messages = [Publish(topic, PAYLOAD, qos=1, packet_id=1 + number).encode() for number in range(WINDOW)]
        self._subscription = Subscribe(1, ((topic, 1),)).encode()
        self._left = MESSAGES if sends else 0
        self.sends = sends
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._write(self._greeting)

    def data_received(self, data: bytes) -> None:
        self._decoder.feed(data)
        while (packet := self._decoder.next_packet()) is not None:
            match packet:
                case ConnAck(code=0) if self.sends:
                    self._course.came()
                case ConnAck(code=0):
                    self._write(self._subscription)
                case SubAck(codes=(1,)):
                    self._course.came()
                case Publish():
                    self._course.received += 1
                    self._write(PubAck(packet.packet_id).encode())
                    self._course.look()
                case PubAck():
                    self._course.acknowledged += 1
                    self._course.look()
                    self.send(packet.packet_id)
                case _:
                    raise NotReached(f"a device got {packet}")

    def start(self) -> None:
        for number in range(WINDOW):
            self.send(1 + number)

    def send(self, packet_id: int) -> None:
        if self._left:
            self._left -= 1
            self._write(self._messages[packet_id - 1])

    def _write(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)


async def messages(server: Server, devices: int) -> Result:
    """Measure the servers' CPU for each message that was sent, acknowledged, delivered and acknowledged again."""
    raise_descriptor_limit()
    if server.api:
        await register(server.api, devices)
    loop, course = asyncio.get_running_loop(), Course(devices)
    peers = [
        Peer(login, course, f"exchange/{number // 2}", sends=number % 2 == 1)
        for number, login in enumerate(logins(devices))
    ]
    for peer in peers:
        await loop.create_connection(lambda one=peer: one, "127.0.0.1", server.port)
    async with asyncio.timeout(PATIENCE_S):
        await course.ready.wait()
    await asyncio.sleep(SETTLE_S)
    before, engine, began = cpu_s(server.pid), server.engine and cpu_s(server.engine), time.monotonic()
    for peer in peers:
        peer.start()
    async with asyncio.timeout(PATIENCE_S):
        await course.done.wait()
    took = time.monotonic() - began
    await asyncio.sleep(SETTLE_S)
    per_us = 1e6 / course.wanted
    return {
        "per_s": course.wanted / took,
        "server_us": (cpu_s(server.pid) - before) * per_us,
        "engine_us": (cpu_s(server.engine) - engine) * per_us if server.engine else 0.0,
    }
