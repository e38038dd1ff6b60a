"""The platform that a run goes against: one of our own in a child process, or one that is already there."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from io import FileIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from simulator.caller import CallerVariables
from simulator.clock import Clock
from simulator.control import Answer, Control
from simulator.embedded import child_platform
from simulator.errors import PlatformUnreachable, UsageError
from simulator.links.link import Endpoint, Endpoints
from simulator.scenario.flow import until
from simulator.scenario.model import Platform

DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883, "coap": 5683, "coaps": 5684}
COLLECT_TIMEOUT_S = 10.0
RECONNECT_S = 0.25
BROKER_TIMEOUT_S = 5.0
NOT_OURS = "that platform is not a keyturn platform: its secrets are reset for good; say --i-own-this-fleet to go on"
WHO_IS_LET_IN = "expected the API's token in token_env, or its key in access_key_env and secret_key_env"


@dataclass(frozen=True, slots=True)
class Target:
    """Where devices connect and whom the runner calls: nobody, where there is a broker and nothing else.

    `ours`: the same control API, when it answers `/_platform` too and keeps a journal.
    """

    endpoints: Endpoints
    control: Control | None = None
    ours: Control | None = None


@asynccontextmanager
async def open_target(
    platform: Platform, schemes: Set[str], folder: Path, *, owned: bool, clock: Clock | None = None
) -> AsyncIterator[Target]:
    """Start or find the platform; afterwards `folder/platform.jsonl` holds its journal, if it keeps one.

    `schemes` are what devices will speak to it: mqtt, mqtts, coap, coaps.

    `clock` dates signed calls, and is the machine's unless it is given.
    """
    if platform.kind == "embedded":
        started = child_platform(folder / "platform.jsonl", schemes, platform.engine, platform.engine_ca)
        async with started as child, Control(child.api) as control:
            yield Target(child.endpoints, control, ours=control)
        return
    if platform.kind == "broker-only":
        brokers = {scheme: await _broker(platform, scheme) for scheme in schemes}
        yield Target(Endpoints(**brokers, ca=_certificates(platform, {})))
        return
    assert platform.api is not None, "the model demands it"
    caller = caller_variables(platform).read()
    async with Control(platform.api, platform.project_id, platform.instance_id or "", caller, clock) as control:
        about = await control.describe()
        ours = _is_ours(platform.api, about)
        if not ours and not owned:
            raise UsageError(f"{platform.api}: {NOT_OURS}")
        told = about.body if ours else {}
        found = {scheme: await _endpoint(platform, scheme, told.get(scheme)) for scheme in schemes}
        endpoints = Endpoints(**found, ca=_certificates(platform, told))
        if not ours:
            yield Target(endpoints, control)
            return
        async with _collecting(control, folder / "platform.jsonl"):
            yield Target(endpoints, control, ours=control)


def _is_ours(api: str, about: Answer) -> bool:
    """Whether a keyturn platform answered; a wrong token or key or a fault of the server says nothing about that."""
    if about.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise UsageError(f"{api}: the caller is not let in ({about.problem}); {WHO_IS_LET_IN}")
    if about.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise PlatformUnreachable(f"{api}: {about.problem}")
    return about.ok and about.body.get("name") == "keyturn"


def caller_variables(platform: Platform) -> CallerVariables:
    return CallerVariables(platform.token_env, platform.access_key_env, platform.secret_key_env, platform.region)


async def _broker(platform: Platform, scheme: str) -> Endpoint:
    """The address of a broker that takes connections: a run without one would only tell of unreachable devices."""
    endpoint = await _endpoint(platform, scheme, None)
    try:
        async with asyncio.timeout(BROKER_TIMEOUT_S):
            _, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else f"no answer within {BROKER_TIMEOUT_S:g} s"
        raise PlatformUnreachable(f"no MQTT broker at {getattr(platform, scheme)}: {reason}") from error
    writer.close()
    return endpoint


async def _endpoint(platform: Platform, scheme: str, told: dict[str, Any] | None) -> Endpoint:
    """Where devices connect, resolved once so that no attempt waits for a name server."""
    given = getattr(platform, scheme)
    if given is not None:
        url = urlsplit(given)
        host, port = url.hostname or "", url.port or DEFAULT_PORTS[scheme]
    elif told is not None:
        host, port = told["host"], told["port"]
    else:
        raise UsageError(f"the platform tells no address for {scheme}: give platform.{scheme}")
    kind = socket.SOCK_STREAM if scheme.startswith("mqtt") else socket.SOCK_DGRAM
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=kind)
    except socket.gaierror as error:
        raise PlatformUnreachable(f"{host}: {error.strerror}") from error
    return Endpoint(str(found[0][4][0]), port, host)


def _certificates(platform: Platform, told: dict[str, Any]) -> str | None:
    """Who vouches for the platform: whom the scenario names, or the platform itself if it is one of ours."""
    if platform.ca is None:
        return told.get("ca")
    try:
        return platform.ca.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{platform.ca}: cannot be read as text: {error}") from error


@asynccontextmanager
async def _collecting(control: Control, path: Path) -> AsyncIterator[None]:
    """Write the platform's journal to a file as it streams; leave when all of it has come."""
    with path.open("wb", buffering=0) as file:
        collector = _Collector(control, file)
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(collector.collect(), name="platform.journal")
            try:
                yield
            finally:
                if not task.done():
                    with contextlib.suppress(TimeoutError, PlatformUnreachable):
                        async with asyncio.timeout(COLLECT_TIMEOUT_S):
                            await collector.complete()
                task.cancel()


class _Collector:
    """Follows a platform's journal through lost connections and restarts: each record once."""

    def __init__(self, control: Control, file: FileIO) -> None:
        self._control = control
        self._file = file
        self._run = ""
        self._last = 0

    async def collect(self) -> None:
        while True:
            with contextlib.suppress(PlatformUnreachable):
                async for number, record in self._control.journal():
                    self._take(number, record)
            await asyncio.sleep(RECONNECT_S)

    async def complete(self) -> None:
        """Wait until everything that the platform has journalled by now is here."""
        wanted = (await self._control.describe()).body.get("journal_records", 0)
        await until(lambda: self._last >= wanted)

    def _take(self, number: int, record: dict[str, object]) -> None:
        if record["kind"] == "header" and record["run"] != self._run:
            self._run, self._last = str(record["run"]), 0
        if number > self._last:
            self._last = number
            self._write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))

    def _write(self, line: bytes) -> None:
        try:
            while line:
                line = line[self._file.write(line) :]
        except OSError as error:
            why = f"{self._file.name}: cannot be written: {error.strerror}"
            raise UsageError(f"{why}: without its journal a run cannot be judged") from error
