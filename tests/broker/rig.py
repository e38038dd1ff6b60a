"""What the platform's tests share: a clock that stands still, a bare MQTT client, a running platform."""

import asyncio
import hmac
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import pytest

from broker.auth.registry import Device, DeviceProtocol, Secret
from broker.clock import Clock
from broker.server import Platform
from broker.settings import Settings
from tests.broker.described import description
from wire.mqtt import FROM_SERVER, ConnAck, Connect, Decoder, Disconnect, Packet

HOUR = "2026112119"
START = datetime(2026, 11, 21, 19, 30, tzinfo=UTC)
DEADLINE_S = 20.0
PRIMARY, SECONDARY = "primary-secret-1", "secondary-secret-1"

BOTH_VERSIONS = pytest.mark.parametrize("level", [4, 5], ids=["3.1.1", "5"])
"""For what holds whatever MQTT version the client speaks: `level` is its protocol level."""


class FakeClock:
    """A clock that moves when told to."""

    def __init__(self) -> None:
        self.passed_s = 0.0
        self.ahead_s = 0.0

    def now(self) -> float:
        return 1000.0 + self.passed_s

    def utc(self) -> datetime:
        return START + timedelta(seconds=self.passed_s + self.ahead_s)

    def wall(self) -> float:
        return self.utc().timestamp()

    def put_forward(self, seconds: float) -> None:
        self.ahead_s += seconds

    def advance(self, seconds: float) -> None:
        self.passed_s += seconds


def sign(secret: str, hour: str = HOUR) -> bytes:
    return hmac.new(hour.encode(), secret.encode(), "sha256").hexdigest().encode()


def device(device_id: str = "d1", **changes: Any) -> Device:
    fields: dict[str, Any] = {
        "device_id": device_id,
        "node_id": device_id,
        "product_id": None,
        "protocol": DeviceProtocol.MQTT,
        "primary": Secret(PRIMARY, 1),
        "secondary": Secret(SECONDARY, 1),
    }
    return Device(**{**fields, **changes})


def connect(
    device_id: str = "d1", secret: str = PRIMARY, *, sign_type: int = 0, hour: str = HOUR, **fields: Any
) -> Connect:
    return Connect(
        **{
            "client_id": f"{device_id}_0_{sign_type}_{hour}",
            "username": device_id,
            "password": sign(secret, hour),
            "keepalive": 60,
            **fields,
        }
    )


class Client:
    """A TCP connection that speaks MQTT packets and nothing by itself, in the version of the CONNECT that it sends."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._decoder = Decoder(FROM_SERVER)

    @classmethod
    async def open(cls, port: int) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.writer.transport.abort()

    @property
    def level(self) -> int:
        return self._decoder.version

    def send(self, *packets: Packet) -> None:
        for packet in packets:
            if isinstance(packet, Connect):
                self._decoder.version = packet.level
        self.writer.write(b"".join(packet.encode(self.level) for packet in packets))

    async def receive(self) -> Packet:
        """Return the next packet; EOFError when the platform has closed instead."""
        async with asyncio.timeout(DEADLINE_S):
            while (packet := self._decoder.next_packet()) is None:
                chunk = await self.reader.read(65_536)
                if not chunk:
                    raise EOFError
                self._decoder.feed(chunk)
        return packet

    async def rest(self) -> list[Packet]:
        """Return every packet until the platform closes; fails if it does not, or if it resets."""
        packets = []
        while True:
            try:
                packets.append(await self.receive())
            except EOFError:
                return packets

    async def farewell(self) -> int | None:
        """Wait for the close; return the code of the DISCONNECT before it and fail if there was anything else."""
        packets = await self.rest()
        if not packets:
            return None
        (last,) = packets
        assert isinstance(last, Disconnect)
        return last.code


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Any
    headers: dict[str, str]


class Rig:
    """A platform in this loop, with its control API and its journal at hand."""

    def __init__(self, platform: Platform, http: aiohttp.ClientSession, journal: Path) -> None:
        self.platform = platform
        self.http = http
        self._journal = journal

    async def call(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a request; `body` goes as JSON, or as it is when it is bytes. Fails when the description says else."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **(headers or {})}
        async with self.http.request(method, path, data=data, headers=sent) as response:
            text = await response.read()
            answer_headers = {key.lower(): value for key, value in response.headers.items()}
            described = await description()
            objections = described.objections(method, path, response.status, answer_headers, text)
            if response.ok:
                objections += described.objections_to_taken(method, path, data)
            assert objections == [], f"{method} {path}: {response.status} {text[:300]!r}"
            return Answer(response.status, json.loads(text) if text else None, answer_headers)

    async def provision(self, *devices: str, **fields: Any) -> None:
        lines = [{"device_id": one, "primary": PRIMARY, "secondary": SECONDARY, **fields} for one in devices]
        answer = await self.call("POST", "/_platform/devices", "\n".join(map(json.dumps, lines)).encode())
        assert answer.status == 200, answer

    async def reset(self, device_id: str = "d1", **body: Any) -> Answer:
        return await self.call("POST", f"/v5/iot/p/devices/{device_id}/action?action_id=resetSecret", body)

    async def client(self) -> Client:
        return await Client.open(self.platform.mqtt_port)

    async def login(self, packet: Connect | None = None) -> Client:
        """Open a connection and log in; fails if the platform refuses."""
        client = await self.client()
        client.send(packet or connect())
        answer = await client.receive()
        assert isinstance(answer, ConnAck)
        assert answer.code == 0
        return client

    async def refusal(self, packet: Connect) -> int:
        """Return the code that a CONNECT is refused with; fails unless the platform closes after it."""
        return (await self.refused(packet)).code

    async def refused(self, packet: Connect) -> ConnAck:
        async with await self.client() as client:
            client.send(packet)
            (answer,) = await client.rest()
        assert isinstance(answer, ConnAck)
        return answer

    async def sessions(self) -> dict[str, dict[str, Any]]:
        answer = await self.call("GET", "/_platform/sessions")
        return {one["device_id"]: one for one in answer.body["sessions"]}

    async def statistics(self) -> dict[str, Any]:
        answer = await self.call("GET", "/_platform/statistics")
        return dict(answer.body)

    def records(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Return what the journal file holds now."""
        lines = self._journal.read_text(encoding="utf-8").splitlines()
        return [record for record in map(json.loads, lines) if kind in (None, record["kind"])]

    async def record(self, kind: str, **fields: object) -> dict[str, Any]:
        """Wait for a record of this kind with these fields."""
        async with asyncio.timeout(DEADLINE_S), self.http.get("/_platform/journal") as stream:
            async for line in stream.content:
                if line.startswith(b"data: "):
                    record: dict[str, Any] = json.loads(line[6:])
                    if record["kind"] == kind and fields.items() <= record.items():
                        return record
        raise AssertionError(f"the journal ended without {kind} {fields}")


@asynccontextmanager
async def running(folder: Path, clock: Clock | None = None, **settings: Any) -> AsyncIterator[Rig]:
    """Run a platform on free ports with a journal in the folder.

    KEYTURN_ACCESS_PROCESSES has devices let in by so many, wherever no test's own clock is needed in all of them.
    """
    journal = folder / "platform.jsonl"
    processes = 1 if clock is not None else int(os.environ.get("KEYTURN_ACCESS_PROCESSES", "1"))
    given = {"mqtt_port": 0, "http_port": 0, "journal": journal, "access_processes": processes}
    chosen = Settings(**{**given, **settings})
    async with Platform(chosen, clock) as platform:
        base = f"http://127.0.0.1:{platform.http_port}"
        async with aiohttp.ClientSession(base) as http:
            yield Rig(platform, http, journal)
