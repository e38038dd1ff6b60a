"""NB-IoT access as one thing that is started and stopped."""

import asyncio
import secrets
from functools import partial

from broker import sockets
from broker.async_commands import AsyncCommands
from broker.auth.registry import Registry
from broker.clock import Clock
from broker.journal import Journal
from broker.lwm2m.admission import Admission
from broker.lwm2m.commands import CommandWriter
from broker.lwm2m.conversations import Conversations
from broker.lwm2m.listener import Outgoing, PlainPort, Port, listen
from broker.lwm2m.peers import Peer
from broker.lwm2m.registrations import Departure, Registrations
from broker.lwm2m.secure_port import SecurePort
from broker.presence import Presence
from broker.statistics import Statistics

LOCATION_BYTES = 4


class Lwm2mService:
    """Serves a port in the clear, one with DTLS, or both.

    `strict`: a session of DTLS ends with the secret that it was made with, and not at its device's next handshake.
    """

    def __init__(
        self,
        registry: Registry,
        registrations: Registrations[Peer],
        presence: Presence,
        journal: Journal,
        statistics: Statistics,
        clock: Clock,
        commands: AsyncCommands,
        *,
        strict: bool,
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
        self._strict = strict
        self._registry = registry
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
        if self._strict:
            self._registrations.cut = partial(self._cut, secure)
        return await self._serve(secure, host, port, "CoAP over DTLS")

    def _cut(self, secure: SecurePort, device_id: str) -> bool:
        """End the registration and the sessions that rest on the secret of a device; one in the clear rests on none."""
        registration, device = self._registrations.of(device_id), self._registry.get(device_id)
        rested = registration is not None and registration.version is not None
        if rested:
            self._registrations.end(device_id, Departure.RESET)
        return (device is not None and secure.cut(device.node_id.encode())) or rested

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
