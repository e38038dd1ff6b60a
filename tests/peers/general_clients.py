"""Two scenes of general clients: one with a broker alone, one with our open gate before such a broker.

A script plays in both, and everything that its clients get is written down: it must be the same.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from broker.engines.address import EngineAddress
from tests.broker.rig import DEADLINE_S, running
from tests.support.mosquitto import Mosquitto, mosquitto
from wire.mqtt import (
    NO_PROPERTIES,
    ConnAck,
    Connect,
    Disconnect,
    Framer,
    Packet,
    PacketType,
    PingReq,
    PingResp,
    Properties,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    SubscriptionOptions,
    UnsubAck,
    read_frame,
)

LIMITS = ("max_packet_size 100000", "max_inflight_messages 20", "max_queued_messages 1000")
"""What the broker says of itself: without a limit of its own, a client is told the gate's."""

KINDS: dict[int, Any] = {
    kind.KIND: kind
    for kind in (ConnAck, Publish, PubAck, PubRec, PubRel, PubComp, SubAck, UnsubAck, PingResp, Disconnect)
}
CLOSED = "closed"

Seen = list[Packet | str]


class GeneralClient:
    """A client that says what it is told to, and answers nothing by itself; `seen` is what it gets, in order."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, level: int, seen: Seen) -> None:
        self.level = level
        self.seen = seen
        self._reader = reader
        self._writer = writer
        self._framer = Framer()
        self._frames: list[bytes] = []

    @classmethod
    async def open(cls, port: int, level: int, seen: Seen | None = None) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port), level, [] if seen is None else seen)

    def send(self, *packets: Packet | bytes) -> None:
        """Send packets in one write; bytes go as they are."""
        self._writer.write(b"".join(one if isinstance(one, bytes) else one.encode(self.level) for one in packets))

    async def take(self, count: int = 1) -> list[Any]:
        """Wait for so many packets, or for the end of the stream, and write them down."""
        taken: Seen = []
        while len(taken) < count and CLOSED not in taken:
            taken.append(await self._next())
        self.seen += taken
        return taken

    async def say(self, *packets: Packet | bytes, answers: int | None = None) -> list[Any]:
        """Send, and wait for an answer to each, or for so many."""
        self.send(*packets)
        return await self.take(len(packets) if answers is None else answers)

    async def nothing_more(self) -> list[Any]:
        """Take what the broker has sent so far: it answers a ping after that."""
        self.send(PingReq())
        taken = []
        while not taken or taken[-1] not in (PingResp(), CLOSED):
            taken += await self.take()
        return taken[:-1]

    async def subscribe(self, *filters: tuple[str, int], **fields: Any) -> list[Any]:
        return await self.say(Subscribe(1, filters, **fields))

    async def end(self) -> None:
        """Take what comes until the stream ends."""
        while CLOSED not in await self.take():
            pass

    async def leave(self, packet: Disconnect | None = None) -> None:
        """Say goodbye, and wait until the other side has taken note of it."""
        self.send(packet or Disconnect())
        await self.end()

    def vanish(self) -> None:
        """Be gone without a word."""
        self._writer.transport.abort()

    async def _next(self) -> Packet | str:
        async with asyncio.timeout(DEADLINE_S):
            while not self._frames:
                try:
                    chunk = await self._reader.read(65_536)
                except ConnectionResetError:
                    chunk = b""
                if not chunk:
                    return CLOSED
                self._frames += self._framer.feed(chunk)
        frame = self._frames.pop(0)
        packet: Packet = read_frame(KINDS[PacketType(frame[0] >> 4)], frame, self.level)
        return packet


@dataclass
class Scene:
    """Where a script plays: the port, the MQTT version of its clients, and what each of them has seen."""

    port: int
    level: int
    broker: Mosquitto
    seen: dict[str, Seen] = field(default_factory=dict)
    _clients: list[GeneralClient] = field(default_factory=list)

    async def client(self, name: str) -> GeneralClient:
        """Open a connection for somebody; what he sees is written down under his name, over all his connections."""
        client = await GeneralClient.open(self.port, self.level, self.seen.setdefault(name, []))
        self._clients.append(client)
        return client

    async def login(self, name: str, **fields: Any) -> GeneralClient:
        """Connect under this client id and wait for the CONNACK."""
        client = await self.client(name)
        await client.say(self.connect(name, **fields))
        return client

    def connect(self, name: str, **fields: Any) -> Connect:
        return Connect(**{"client_id": name, "keepalive": 0, "level": self.level, **fields})

    def keeping(self, expiry_s: int = 60) -> dict[str, Any]:
        """The fields of a CONNECT that wants its state kept."""
        if self.level < 5:
            return {"clean_session": False}
        return {"clean_session": False, "properties": Properties(session_expiry_interval=expiry_s)}

    def close(self) -> None:
        for client in self._clients:
            client.vanish()


Script = Callable[[Scene], Awaitable[None]]


async def same_to_all(folder: Path, script: Script, level: int, lines: Sequence[str] = ()) -> dict[str, Seen]:
    """Play a script in both scenes; AssertionError when its clients see anything else through the gate."""
    async with asyncio.TaskGroup() as both:
        alone = both.create_task(_play(alone_scene(folder / "alone", level, lines), script))
        gate = both.create_task(_play(gate_scene(folder / "gate", level, lines), script))
    for name, seen in alone.result().items():
        through = gate.result().get(name)
        assert through == seen, f"{name} sees alone\n{_listed(seen)}\nand through the gate\n{_listed(through)}"
    return alone.result()


def _listed(seen: Seen | None) -> str:
    return "\n".join(f"  {one}" for one in seen or ())


async def _play(scene: Any, script: Script) -> dict[str, Seen]:
    async with scene as stage:
        await script(stage)
        for client in stage.seen.values():
            client[:] = map(normalised, client)
        return dict(stage.seen)


@asynccontextmanager
async def alone_scene(folder: Path, level: int = 4, lines: Sequence[str] = ()) -> AsyncIterator[Scene]:
    folder.mkdir(parents=True)
    async with mosquitto(folder, lines=(*LIMITS, *lines)) as broker:
        scene = Scene(broker.port, level, broker)
        try:
            yield scene
        finally:
            scene.close()


@asynccontextmanager
async def gate_scene(folder: Path, level: int = 4, lines: Sequence[str] = ()) -> AsyncIterator[Scene]:
    async with alone_scene(folder, level, lines) as scene:
        engine = EngineAddress.parse(f"mqtt://127.0.0.1:{scene.port}")
        async with running(folder, engine=engine, policy="open") as rig:
            scene.port = rig.platform.mqtt_port
            try:
                yield scene
            finally:
                scene.close()


async def answered(client: GeneralClient, *packets: Publish) -> None:
    """Publish, and bring every exchange to its end."""
    for packet in packets:
        if packet.qos == 0:
            client.send(packet)
            continue
        await client.say(packet)
        if packet.qos == 2:
            await client.say(PubRel(packet.packet_id))
    await client.nothing_more()


def normalised(one: Packet | str) -> Packet | str:
    """Take out what is not the same every time.

    A client id that the broker made up; the second in which the rest of a message's time is told. For a breach of the
    protocol the gate has its own words.
    """
    if isinstance(one, Publish) and (left_s := one.properties.message_expiry_interval):
        return replace(one, properties=replace(one.properties, message_expiry_interval=-(-left_s // 10) * 10))
    if isinstance(one, ConnAck) and one.properties.assigned_client_identifier:
        return replace(one, properties=replace(one.properties, assigned_client_identifier="assigned"))
    if isinstance(one, ConnAck | Disconnect) and one.properties.reason_string:
        rest = replace(one.properties, reason_string=None)
        return replace(one, properties=NO_PROPERTIES if rest == NO_PROPERTIES else rest)
    return one


def plain(**fields: Any) -> tuple[SubscriptionOptions, ...]:
    """The options of one filter."""
    return (SubscriptionOptions(**fields),)
