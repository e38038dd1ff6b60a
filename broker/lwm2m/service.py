"""NB-IoT access as one thing that is started and stopped."""

import asyncio
import secrets

from broker import sockets
from broker.async_commands import AsyncCommands
from broker.auth.registry import Registry
from broker.clock import Clock
from broker.journal import Journal
from broker.lwm2m.admission import Admission
from broker.lwm2m.commands import CommandWriter
from broker.lwm2m.conversations import Conversations
from broker.lwm2m.listener import Outgoing, PlainPort, Port, SecurePort, listen
from broker.lwm2m.peers import Peer
from broker.lwm2m.registrations import Registrations
from broker.presence import Presence
from broker.statistics import Statistics

LOCATION_BYTES = 4


class Lwm2mService:
    """Serves a port in the clear, one with DTLS, or both."""

    def __init__(
        self,
        registry: Registry,
        registrations: Registrations[Peer],
        presence: Presence,
        journal: Journal,
        statistics: Statistics,
        clock: Clock,
        commands: AsyncCommands,
    ) -> None:
        self._admission = Admission(registry)
        self._journal = journal
        self._statistics = statistics
        self._clock = clock
        self._outgoing = Outgoing(journal)
        self._conversations = Conversations(
            self._admission, registrations, presence, journal, statistics, clock, _new_location
        )
        self._writer = self._conversations.writer = CommandWriter(commands, registrations)
        commands.created = self._created
        self._registrations = registrations
        self._ports: list[Port] = []
        self._loop = asyncio.get_running_loop()
        self._sweeper: asyncio.TimerHandle | None = None

    async def serve_plain(self, host: str, port: int) -> int:
        """Serve devices without a secret; return the port."""
        plain = PlainPort(self._conversations, self._outgoing, self._statistics, self._clock)
        return await self._serve(plain, host, port, "CoAP")

    async def serve_secure(self, host: str, port: int) -> int:
        """Serve devices that prove their secret; return the port."""
        secure = SecurePort(
            self._conversations, self._admission, self._outgoing, self._journal, self._statistics, self._clock
        )
        return await self._serve(secure, host, port, "CoAP over DTLS")

    def _created(self, device_id: str) -> None:
        """A command is new: a device that listens gets it at once."""
        registration = self._registrations.of(device_id)
        if registration is not None:
            self._writer.go_on(device_id, self._clock.now())
            registration.peer.watch(registration.peer)

    def sweep_every(self, seconds: float) -> None:
        self._sweeper = self._loop.call_later(seconds, self.sweep_every, seconds)
        self._conversations.sweep()
        for port in self._ports:
            port.sweep()

    def stop(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
        for port in self._ports:
            port.stop()

    async def _serve(self, serving: Port, host: str, port: int, what: str) -> int:
        listening = sockets.receive(host, port, what)
        self._ports.append(serving)
        await listen(serving, listening)
        return sockets.port_of(listening)


def _new_location() -> str:
    return secrets.token_hex(LOCATION_BYTES)
