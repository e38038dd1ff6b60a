"""The platform, wired: everything that serves one run, from the listening sockets to the last journal line."""

import asyncio
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

from broker import VERSION, sockets
from broker.access.side import AccessSide, Doors
from broker.async_commands import AsyncCommands
from broker.auth.registry import Registry
from broker.clock import Clock, SystemClock
from broker.control_api import app
from broker.control_api.callers import Callers
from broker.control_api.http_server import HttpServer
from broker.control_api.services import Services
from broker.control_api.tenant import Tenant
from broker.journal import Journal
from broker.lwm2m.registrations import Registrations
from broker.notes import Notes
from broker.processes.hub import Hub, Shared
from broker.push.status_pushes import StatusPushes
from broker.roma import RomaLink
from broker.rotation import Rotation
from broker.routing_rules import RoutingRules
from broker.sessions import Sessions
from broker.settings import Settings
from broker.statistics import Statistics
from broker.store.activations import ActivationKeeper
from broker.store.roma import RomaTables
from broker.store.sqlite import SqliteStore


@dataclass(frozen=True, slots=True)
class Ground:
    """What every part of a platform stands on; `ids` yields a new request id each time."""

    ids: Iterator[str]
    statistics: Statistics
    sessions: Sessions
    journal: Journal
    store: SqliteStore
    roma_tables: RomaTables
    activations: ActivationKeeper
    registry: Registry
    registrations: Registrations[Any]


class Platform:
    """A running platform: `async with Platform(Settings(mqtt_port=0, http_port=0)) as platform: …`.

    Entering raises SettingsError or StoreError when something it needs cannot be had. `stop_asked` is set when a
    caller of the control API asks for the end; whoever entered the platform is to leave it then.
    """

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.run = secrets.token_hex(4)
        self.stop_asked = asyncio.Event()
        self.mqtt_port = 0
        self.http_port = 0
        self.more_ports: dict[str, int] = {}
        self.ca: Path | None = None
        self._shared = None if settings.access_processes == 1 else Shared(settings, clock)
        self._clock = self._shared.clock if self._shared else clock or SystemClock()
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            await self._start(opening)
            self._open = opening.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    async def _start(self, opening: AsyncExitStack) -> None:
        """Open everything in the order of need; the stack closes it in the opposite order."""
        doors, http_socket = self._bind(opening)
        ground = self._lay_ground(opening)
        tasks = await _open_tasks(opening)
        pushes = StatusPushes(
            self.settings,
            ground.registry,
            ground.sessions,
            ground.registrations.silence,
            tasks,
            ground.journal,
            ground.statistics,
            ground.ids,
        )
        access = self._access(ground, tasks)
        services = self._connect(ground, pushes, access)
        await self._serve_http(opening, services, tasks, http_socket)
        opening.callback(ground.journal.end_following)
        await access.serve(opening, doors, (ground.activations.save, services.async_commands.expire))
        opening.push_async_callback(pushes.close)  # it is no news of a device that the platform ends
        await self._serve_lwm2m(opening, services)

    def _bind(self, opening: AsyncExitStack) -> tuple[list[Doors], socket.socket]:
        """Take the ports of MQTT, in the clear and over TLS, and of HTTP."""
        settings = self.settings
        mqtt = sockets.listen_together(settings.host, settings.mqtt_port, "MQTT", settings.access_processes)
        for one in mqtt:
            opening.enter_context(one)
        http = opening.enter_context(sockets.listen(settings.host, settings.http_port, "HTTP"))
        self.mqtt_port, self.http_port = sockets.port_of(mqtt[0]), sockets.port_of(http)
        if settings.mqtts_port is None:
            return [Doors(one) for one in mqtt], http
        certificate, mqtts = self._bind_mqtts(opening, settings.mqtts_port)
        return [Doors(one, other, certificate) for one, other in zip(mqtt, mqtts, strict=True)], http

    def _bind_mqtts(self, opening: AsyncExitStack, port: int) -> tuple[tuple[Path, Path], list[socket.socket]]:
        """Take the port of MQTT over TLS, and have a certificate and its key for it."""
        settings = self.settings
        from broker.certificates import made_in, server_context  # slow to import, and only TLS needs it

        certificate, key = settings.tls_certificate, settings.tls_key
        if certificate is None or key is None:
            folder = settings.tls_folder or Path(opening.enter_context(TemporaryDirectory(prefix="keyturn-tls-")))
            self.ca, certificate, key = made_in(folder, settings.host, self._clock.utc())
        server_context(certificate, key)  # files that do not serve are told of before anything is started
        listening = sockets.listen_together(settings.host, port, "MQTT over TLS", settings.access_processes)
        for one in listening:
            opening.enter_context(one)
        self.more_ports["mqtts"] = sockets.port_of(listening[0])
        return (certificate, key), listening

    def _lay_ground(self, opening: AsyncExitStack) -> Ground:
        """Open the journal and the registry."""
        settings, clock, loop, shared = self.settings, self._clock, asyncio.get_running_loop(), self._shared
        statistics, sessions = Statistics(), shared.books if shared else Sessions()
        journal = (shared.journal if shared else Journal)(
            settings.journal, clock, loop.call_soon, settings.journal_ring
        )
        opening.callback(journal.close)
        store = SqliteStore(settings.db, loop, settings.busy_timeout_s, clock)
        activations = ActivationKeeper(sessions.presence, store, statistics)
        opening.push_async_callback(_finish, activations, store, journal)
        roma_tables = RomaTables(store, clock)
        make_registry = shared.registry if shared else Registry
        registry = make_registry(store.load(), store.load_products(), roma_tables.load())
        activations.restore((*registry, *registry.roma))
        self._write_header(journal)
        ids = (f"{self.run}-{number}" for number in count(1))
        registrations: Registrations[Any] = Registrations(clock)
        return Ground(ids, statistics, sessions, journal, store, roma_tables, activations, registry, registrations)

    def _access(self, ground: Ground, tasks: asyncio.TaskGroup) -> AccessSide | Hub:
        """Make what devices talk to, here or in other processes."""
        notes = Notes(ground.journal, ground.statistics, self._clock)
        if self._shared is not None:
            return self._shared.hub(self.run, ground.registry, notes, tasks)
        return AccessSide(self.settings, ground.registry, ground.sessions, notes, ground.ids, tasks)

    def _connect(self, ground: Ground, pushes: StatusPushes, access: AccessSide | Hub) -> Services:
        """Put together what the control API works on."""
        settings, clock, registrations = self.settings, self._clock, ground.registrations
        registry, sessions, journal, statistics = ground.registry, ground.sessions, ground.journal, ground.statistics
        stored, async_commands = access.stored, AsyncCommands(registry, journal, clock)
        rotation = Rotation(
            registry, ground.store, sessions, registrations, stored, async_commands, journal, statistics
        )
        rotation.spread = access.spread
        return Services(
            run=self.run,
            host=settings.host,
            mqtt_port=self.mqtt_port,
            more_ports=self.more_ports,
            ca=None if self.ca is None else self.ca.read_text(),
            callers=Callers(settings.token, settings.key, clock),
            tenant=Tenant(settings.project_id, settings.instance_id),
            ids=ground.ids,
            registry=registry,
            sessions=sessions,
            registrations=registrations,
            rotation=rotation,
            roma=RomaLink(
                registry, ground.roma_tables, rotation, sessions, stored, journal, statistics, settings.login_rules
            ),
            commands=access.commands,
            async_commands=async_commands,
            messages=access.messages,
            rules=RoutingRules(clock, pushes.follow, anywhere=settings.expose),
            clock=clock,
            journal=journal,
            statistics=statistics,
            answer_timeout_s=settings.answer_timeout_s,
            figures=access.figures,
            stop=self.stop_asked.set,
        )

    async def _serve_lwm2m(self, opening: AsyncExitStack, services: Services) -> None:
        settings = self.settings
        if settings.coap_port is None and settings.coaps_port is None:
            return
        from broker.lwm2m.service import Lwm2mService  # only a platform that serves CoAP pays for its libraries

        lwm2m = Lwm2mService(
            services.registry,
            services.registrations,
            services.sessions.presence,
            services.journal,
            services.statistics,
            services.clock,
            services.async_commands,
            strict=settings.strict_dtls,
        )
        opening.callback(lwm2m.stop)
        if settings.coap_port is not None:
            self.more_ports["coap"] = await lwm2m.serve_plain(settings.host, settings.coap_port)
        if settings.coaps_port is not None:
            self.more_ports["coaps"] = await lwm2m.serve_secure(settings.host, settings.coaps_port)
        lwm2m.sweep_every(settings.sweep_s)

    async def _serve_http(
        self, opening: AsyncExitStack, services: Services, tasks: asyncio.TaskGroup, listening: socket.socket
    ) -> None:
        served = app.build(services)
        if self.settings.hook is not None:
            from broker.hooks.remote_sessions import Premises
            from broker.hooks.service import HookService  # slow to import, and only hook mode needs it

            registry, sessions, journal = services.registry, services.sessions, services.journal
            premises = Premises(journal, services.statistics, services.clock, registry, sessions, tasks)
            hook = HookService(self.settings, premises)
            opening.push_async_callback(hook.stop)
            hook.start()
            served = hook.in_front_of(served)
        http = HttpServer(served, services.ids)
        await http.start(listening)
        opening.push_async_callback(http.stop, self.settings.stop_grace_s)

    def _write_header(self, journal: Journal) -> None:
        journal.write(
            "header",
            run=self.run,
            source="platform",
            wall=self._clock.wall(),
            monotonic=self._clock.now(),
            pid=os.getpid(),
            version=VERSION,
        )
        journal.flush()


async def _finish(activations: ActivationKeeper, store: SqliteStore, journal: Journal) -> None:
    activations.save()
    store.close()
    await asyncio.sleep(0)  # the last outcomes wait in the loop
    journal.write("stopped")


async def _open_tasks(opening: AsyncExitStack) -> asyncio.TaskGroup:
    """Open a group of tasks that hears nothing of what goes wrong elsewhere: it would make a group of it."""
    tasks = asyncio.TaskGroup()
    await tasks.__aenter__()
    opening.push_async_callback(tasks.__aexit__, None, None, None)
    return tasks
