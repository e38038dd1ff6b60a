"""A relay between a device and the platform that keeps every packet, with the time and the link that it came on."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from wire.mqtt import FROM_CLIENT, FROM_SERVER, Decoder, Packet


@dataclass(frozen=True, slots=True)
class Passed:
    """A packet that passed, or None for the end of the link; `at` is the loop's time in seconds."""

    at: float
    link: int
    from_device: bool
    packet: Packet | None


class Relay:
    """Passes bytes on as they come, both ways; what ends on one side ends on the other."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._links = 0
        self.port = 0
        self.passed: list[Passed] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link, self._links = self._links, self._links + 1
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._to_port)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._pass(link, reader, up_writer, from_device=True), name="relay.up")
            tasks.create_task(self._pass(link, up_reader, writer, from_device=False), name="relay.down")

    async def _pass(
        self, link: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, from_device: bool
    ) -> None:
        decoder, loop = Decoder(FROM_CLIENT if from_device else FROM_SERVER), asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                decoder.feed(data)
                while (packet := decoder.next_packet()) is not None:
                    self.passed.append(Passed(loop.time(), link, from_device, packet))
                writer.write(data)
        self.passed.append(Passed(loop.time(), link, from_device, None))
        writer.close()


@asynccontextmanager
async def relayed(host: str, port: int, to_port: int) -> AsyncIterator[Relay]:
    """Relay `host:port`, or any free port for 0, to a port of 127.0.0.1."""
    relay = Relay(to_port)
    async with await asyncio.start_server(relay.serve, host, port) as server:
        relay.port = server.sockets[0].getsockname()[1]
        yield relay
