"""Who stresses a platform: on a few devices, connectors who take each other over, resetters, and a keeper each."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from itertools import count
from random import Random

from broker.auth.registry import Secret
from tests.broker.races.facts import Attempt, Call, Facts
from tests.broker.races.lines import CallerLine, DeviceLine
from tests.broker.rig import DEADLINE_S

CONNECTORS, RESETTERS = 4, 2
REMEMBERED = 6
NODE = "node"
DEVICES = "/v5/iot/p/devices"
UNKNOWN = 404


class Crowd:
    """Everybody who deals with one device; `facts` is shared by all of them."""

    def __init__(self, device_id: str, mqtt_port: int, http_port: int, facts: Facts, rng: Random) -> None:
        self.facts = facts
        self._device_id = device_id
        self._device = f"{DEVICES}/{device_id}"
        self._mqtt_port = mqtt_port
        self._http_port = http_port
        self._rng = rng
        self._secrets = (f"{device_id}-secret-{number:06}" for number in count(1))
        self._known = {slot: deque([next(self._secrets)], REMEMBERED) for slot in ("primary", "secondary")}
        self._lines: dict[str, DeviceLine] = {}

    def provisioned(self) -> dict[str, str]:
        """Return the line that registers the device as the crowd knows it."""
        for slot, known in self._known.items():
            mark = fingerprint(known[0])
            self.facts.calls.append(Call("provisioned", self._device_id, 0.0, 0.0, 200, slot=slot, fingerprint=mark))
        return {
            "device_id": self._device_id,
            "product_id": self._device_id,
            "node_id": NODE,
            **{slot: known[0] for slot, known in self._known.items()},
        }

    def run(self, tasks: asyncio.TaskGroup, goes_on: Callable[[], bool], addresses: "count[int]") -> None:
        for _ in range(CONNECTORS):
            tasks.create_task(self._connect_on(goes_on, addresses))
        for _ in range(RESETTERS):
            tasks.create_task(self._reset_on(goes_on))
        tasks.create_task(self._keep(goes_on))

    # -- devices

    async def _connect_on(self, goes_on: Callable[[], bool], addresses: "count[int]") -> None:
        while goes_on():
            number = next(addresses)
            await self._attempt(f"127.1.{number >> 8}.{number & 255}", number)

    async def _attempt(self, address: str, number: int) -> None:
        """Log in with some secret, in force or to be or no longer, and report until the platform closes, or so."""
        loop, rng = asyncio.get_running_loop(), self._rng
        secret = rng.choice(self._known[rng.choice(("primary", "secondary"))])
        attempt = Attempt(self._device_id, "", fingerprint(secret), time.monotonic())
        greeting = asyncio.Event()

        def greeted(code: int) -> None:
            attempt.answered, attempt.code = time.monotonic(), code
            greeting.set()

        first = number * 1000
        level = rng.choice((4, 5))
        _, line = await loop.create_connection(
            lambda: DeviceLine(level, greeted, lambda packet_id: attempt.acknowledged.add(first + packet_id)),
            "127.0.0.1",
            self._mqtt_port,
            local_addr=(address, 0),
        )
        attempt.peer = "{}:{}".format(*line.local_address())
        self.facts.attempts.append(attempt)
        self._lines[attempt.peer] = line
        attempt.began = time.monotonic()
        line.log_in(self._device_id, secret)
        await self._stay(line, greeting, first)
        del self._lines[attempt.peer]
        line.drop()

    async def _stay(self, line: DeviceLine, greeting: asyncio.Event, first: int) -> None:
        """Report now and then; leave after a while if nobody cuts."""
        for packet_id in range(1, self._rng.randint(2, 30)):
            line.report(self._device_id, packet_id, first + packet_id)
            try:
                async with asyncio.timeout(self._rng.uniform(0.0, 0.004)):
                    await line.ended.wait()
                    return
            except TimeoutError:
                continue
        async with asyncio.timeout(DEADLINE_S):
            await greeting.wait()

    def _open(self) -> frozenset[str]:
        return frozenset(peer for peer, line in self._lines.items() if line.is_open())

    # -- callers

    async def _reset_on(self, goes_on: Callable[[], bool]) -> None:
        line, rng = await self._caller(), self._rng
        while goes_on():
            slot = rng.choice(("primary", "secondary"))
            secret = next(self._secrets)
            self._known[slot].append(secret)
            call = Call("reset", self._device_id, 0.0, slot=slot, fingerprint=fingerprint(secret))
            call.forced = rng.random() < 0.6
            how = {"secret_type": slot.upper(), "force_disconnect": call.forced}
            if rng.random() < 0.3:
                body = {**how, "resets": [{"device_id": self._device_id, "secret": secret}]}
                await self._call(line, call, "POST", "/_platform/devices/reset-secrets", body)
            else:
                path = f"{self._device}/action?action_id=resetSecret"
                await self._call(line, call, "POST", path, {**how, "secret": secret})
            await asyncio.sleep(rng.uniform(0.0, 0.02))
        line.close()

    async def _keep(self, goes_on: Callable[[], bool]) -> None:
        """Freeze and unfreeze, delete and create, with more time between the pairs than within them."""
        line, rng = await self._caller(), self._rng
        while goes_on():
            await asyncio.sleep(rng.uniform(0.02, 0.15))
            if rng.random() < 0.7:
                await self._call(line, Call("frozen", self._device_id, 0.0), "POST", f"{self._device}/freeze", {})
                await asyncio.sleep(rng.uniform(0.0, 0.03))
                call = Call("unfrozen", self._device_id, 0.0)
                await self._call(line, call, "POST", f"{self._device}/unfreeze", {})
            else:
                await self._call(line, Call("deleted", self._device_id, 0.0), "DELETE", self._device, {})
                await asyncio.sleep(rng.uniform(0.0, 0.03))
                await self._create(line)
        line.close()

    async def _create(self, line: CallerLine) -> None:
        secret = next(self._secrets)
        self._known["primary"].append(secret)
        call = Call("created", self._device_id, 0.0, slot="primary", fingerprint=fingerprint(secret))
        about = {"device_id": self._device_id, "product_id": self._device_id, "node_id": NODE}
        await self._call(line, call, "POST", DEVICES, {**about, "auth_info": {"secret": secret}})

    async def _call(self, line: CallerLine, call: Call, method: str, path: str, body: object) -> None:
        def answered(status: int, request_id: str, told: bytes) -> None:
            """Of many devices' resets each fails alone, in an answer that is none of failure."""
            call.still_open = self._open()
            call.replied, call.request_id = time.monotonic(), request_id
            call.status = UNKNOWN if b"error_code" in told else status

        call.sent = time.monotonic()
        async with asyncio.timeout(DEADLINE_S):
            await line.call(method, path, body, answered)
        self.facts.calls.append(call)

    async def _caller(self) -> CallerLine:
        loop = asyncio.get_running_loop()
        _, line = await loop.create_connection(CallerLine, "127.0.0.1", self._http_port)
        return line


def fingerprint(secret: str) -> str:
    return Secret(secret, 0).fingerprint
