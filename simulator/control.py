"""The HTTP client of the control API: the vendor's calls, and the local platform's own under `/_platform`."""

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, Self

import orjson

from simulator.caller import NOBODY, Caller
from simulator.clock import Clock, SystemClock
from simulator.device.keyring import Slot
from simulator.errors import PlatformUnreachable
from simulator.http_client import HttpClient
from simulator.ledger import Identity
from simulator.signer import Signer

REQUEST_TIMEOUT_S = 30.0
JOURNAL = "/_platform/journal"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the platform answered; a refusal is an answer."""

    status: int
    body: dict[str, Any] = field(repr=False)  # a reset's answer holds the secret

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def problem(self) -> str:
        """The vendor's error code and message, for a report."""
        return f"{self.status} {self.body.get('error_code', '')} {self.body.get('error_msg', '')}".strip()


class Control:
    """One platform's control API. Every call raises PlatformUnreachable when there is no answer.

    `clock` dates the signatures of a caller with a key.
    """

    def __init__(
        self,
        api: str,
        project_id: str = "default",
        instance_id: str = "",
        caller: Caller = NOBODY,
        clock: Clock | None = None,
    ) -> None:
        self.api = api.rstrip("/")
        self._project = f"/v5/iot/{project_id}/devices"
        given = {"Instance-Id": instance_id, "X-Auth-Token": caller.token}
        headers = {name: value for name, value in given.items() if value}
        sign = None if caller.key is None else partial(_signed, Signer(caller.key), clock or SystemClock())
        self._http = HttpClient(self.api, headers, REQUEST_TIMEOUT_S, sign)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    # -- the vendor's API

    async def reset_secret(
        self, device_id: str, slot: Slot, *, secret: str | None = None, force_disconnect: bool = False
    ) -> Answer:
        """Reset one slot's secret (api-iothub/iot_06_v5_0093); without `secret` the platform generates one."""
        body: dict[str, Any] = {"secret_type": slot.upper(), "force_disconnect": force_disconnect}
        if secret is not None:
            body["secret"] = secret
        path = f"{self._project}/{device_id}/action?action_id=resetSecret"
        return await self._call("POST", path, orjson.dumps(body))

    async def freeze(self, device_id: str) -> Answer:
        return await self._call("POST", f"{self._project}/{device_id}/freeze")

    async def unfreeze(self, device_id: str) -> Answer:
        return await self._call("POST", f"{self._project}/{device_id}/unfreeze")

    async def queue_command(self, device_id: str, name: str, paras: dict[str, Any]) -> Answer:
        """Leave a command for an LwM2M device with the platform (api-iothub, CreateAsyncCommand)."""
        body = {"command_name": name, "service_id": "keyturn", "paras": paras}
        return await self._call("POST", f"{self._project}/{device_id}/async-commands", orjson.dumps(body))

    async def queued_command(self, device_id: str, command_id: str) -> Answer:
        """Ask what became of such a command."""
        return await self._call("GET", f"{self._project}/{device_id}/async-commands/{command_id}")

    # -- the local platform's own

    async def describe(self) -> Answer:
        """Who answers there: 404 from a platform that is not ours."""
        return await self._call("GET", "/_platform")

    async def provision(self, identities: Iterable[Identity]) -> Answer:
        """Register devices with their secrets in one call: all or none."""
        lines = b"\n".join(map(orjson.dumps, identities))
        return await self._call("POST", "/_platform/devices", lines, "application/x-ndjson")

    async def devices(self, *, secrets: bool = False) -> Answer:
        """List the registered devices: fingerprints of their secrets, or the secrets too."""
        return await self._call("GET", f"/_platform/devices?secrets={'true' if secrets else 'false'}")

    async def command(self, device_id: str, name: str, paras: dict[str, Any], *, timeout_s: float) -> Answer:
        """Send a command to an online device and wait for its response."""
        body = {"command_name": name, "service_id": "keyturn", "paras": paras, "timeout": timeout_s}
        return await self._call("POST", f"/_platform/devices/{device_id}/commands", orjson.dumps(body))

    async def message(self, device_id: str, topic: str, payload: bytes) -> Answer:
        """Send a message (QoS 1) that expects no answer: now, or, with a stored session, when the device is back."""
        body = {"topic": topic, "payload": payload.decode(), "qos": 1}
        return await self._call("POST", f"/_platform/devices/{device_id}/messages", orjson.dumps(body))

    async def advance_clock(self, seconds: float) -> Answer:
        """Put the platform's wall clock forward."""
        return await self._call("POST", "/_platform/clock", orjson.dumps({"advance": seconds}))

    async def journal(self) -> AsyncIterator[tuple[int, dict[str, Any]]]:
        """Follow the platform's journal: (number in its run, record), from the oldest it keeps.

        Ends when the platform stops; PlatformUnreachable when the connection breaks.
        """
        import aiohttp  # slow to import, and only a platform that is already there is followed

        number = 0
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session,
                session.get(f"{self.api}{JOURNAL}", headers=self._http.headers("GET", JOURNAL)) as answer,
            ):
                async for line in answer.content:
                    if line.startswith(b"id:"):
                        number = int(line[3:])
                    elif line.startswith(b"data:"):
                        yield number, orjson.loads(line[5:])
        except aiohttp.ClientError as error:
            raise self._unreachable(error) from error

    async def _call(self, method: str, path: str, data: bytes = b"", kind: str = "application/json") -> Answer:
        try:
            response = await self._http.call(method, path, data, kind if data else "")
        except OSError as error:
            raise self._unreachable(error) from error
        return Answer(response.status, _json_object(response.body))

    def _unreachable(self, error: Exception) -> PlatformUnreachable:
        return PlatformUnreachable(f"no answer from the control API at {self.api}: {error or type(error).__name__}")


def _signed(
    signer: Signer, clock: Clock, method: str, target: str, headers: Mapping[str, str], body: bytes
) -> dict[str, str]:
    return signer.sign(method, target, headers, body, clock.utc())


def _json_object(data: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(data) if data else {}
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}
