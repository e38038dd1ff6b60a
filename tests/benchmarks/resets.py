"""Resets through the control API, on bare HTTP connections: how soon the device sees the close, how many a second."""

import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count, cycle, islice, takewhile
from urllib.parse import urlsplit

import aiohttp
import orjson

from simulator.limits import raise_descriptor_limit
from tests.benchmarks.devices import identities, logins, register
from tests.benchmarks.loader import Crowd
from tests.benchmarks.meter import NotReached, Result, mark, quantile
from tests.benchmarks.ramp import Progress
from tests.benchmarks.servers import Server

SINGLY, WAVES, WAVE = 300, 10, 100
CONNECTIONS = 64
PATIENCE_S = 30.0
LAG_KEPT_S = 60.0
"""So far back the platform's loop lag reaches."""


class Api:
    """One kept-alive connection to the control API, a request at a time; every secret that it sets is new."""

    secrets = (f"{number:032x}" for number in count(1))

    def __init__(self, server: Server) -> None:
        url = urlsplit(server.api)
        self.sock = socket.create_connection((url.hostname or "", url.port or 0))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""

    def send_reset(self, device_id: str, *, force: bool) -> None:
        body = orjson.dumps({"secret_type": "PRIMARY", "force_disconnect": force, "secret": next(self.secrets)})
        head = (
            f"POST /v5/iot/default/devices/{device_id}/action?action_id=resetSecret HTTP/1.1\r\n"
            f"Host: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self.sock.sendall(head.encode() + body)

    def is_answered(self) -> bool:
        """Read what has come; whether it is the whole reply. NotReached when that is no 200."""
        self._received += self.sock.recv(65_536)
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end or len(body) < int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]):
            return False
        if not head.startswith(b"HTTP/1.1 200 "):
            raise NotReached(f"a reset was answered with {head.splitlines()[0]!r}: {body[:200]!r}")
        self._received = b""
        return True


@dataclass(slots=True)
class Cut:
    """One forced reset under way: the request, the device's socket, and whether each of them is through."""

    api: Api
    device: socket.socket
    sent_at: float = 0.0
    answered: bool = False
    closed: bool = False


@dataclass(slots=True)
class Cuts:
    """Forced resets, and when their devices saw the close."""

    took_s: list[float] = field(default_factory=list)
    early_replies: int = 0

    def run(self, apis: Sequence[Api], devices: Sequence[tuple[str, socket.socket]]) -> None:
        """Reset these devices side by side, each over a connection of its own, until all is seen."""
        with selectors.DefaultSelector() as selector:
            cuts = [Cut(api, device) for api, (_, device) in zip(apis, devices, strict=True)]
            for cut in cuts:
                selector.register(cut.device, selectors.EVENT_READ, cut)
                selector.register(cut.api.sock, selectors.EVENT_READ, cut)
            for cut, (device_id, _) in zip(cuts, devices, strict=True):
                cut.sent_at = time.perf_counter()
                cut.api.send_reset(device_id, force=True)
            while not all(cut.answered and cut.closed for cut in cuts):
                ready = selector.select(PATIENCE_S)
                if not ready:
                    raise NotReached(f"a forced reset was not answered, or cut nobody, within {PATIENCE_S} s")
                for key, _ in sorted(ready, key=lambda one: one[0].fileobj is one[0].data.api.sock):
                    self._take(selector, key.data, is_reply=key.fileobj is key.data.api.sock)

    def _take(self, selector: selectors.BaseSelector, cut: Cut, *, is_reply: bool) -> None:
        """A reply that is read while its device's socket does not show the end yet was early."""
        if not is_reply:
            self._see_close(selector, cut)
        elif cut.api.is_answered():
            cut.answered = True
            self._see_close(selector, cut)
            self.early_replies += not cut.closed

    def _see_close(self, selector: selectors.BaseSelector, cut: Cut) -> None:
        if cut.closed:
            return
        try:
            unexpected = cut.device.recv(64, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        if unexpected:
            raise NotReached(f"a device was sent {unexpected.hex()} before it was cut")
        cut.closed = True
        self.took_s.append(time.perf_counter() - cut.sent_at)
        selector.unregister(cut.device)
        cut.device.close()


def shares(devices: int) -> tuple[int, int, int]:
    """Return how many of the devices are reset singly, in how many waves the others, and how many a wave has.

    With fewer devices than the usual numbers need, everything is as much smaller; each device is reset once.
    """
    if devices >= SINGLY + WAVES * WAVE:
        return SINGLY, WAVES, WAVE
    wave = max(1, devices // (WAVES + 1))
    waves = min(WAVES, (devices - 1) // wave)
    return devices - waves * wave, waves, wave


async def forced(server: Server, devices: int) -> Result:
    """With all devices online: resets one after the other, then in waves."""
    raise_descriptor_limit()
    single, waves, wave = shares(devices)
    await register(server.api, devices)
    crowd = Crowd(server.port, logins(devices), Progress(devices))
    crowd.connect()
    online = iter(crowd.sockets.items())
    apis = [Api(server) for _ in range(wave)]
    singly, in_waves = Cuts(), Cuts()
    for _ in range(single):
        singly.run(apis[:1], [next(online)])
    for _ in range(waves):
        in_waves.run(apis, [next(online) for _ in range(wave)])
    return {
        "single_p50_ms": quantile(singly.took_s, 0.5) * 1000,
        "single_p99_ms": quantile(singly.took_s, 0.99) * 1000,
        "wave_p50_ms": quantile(in_waves.took_s, 0.5) * 1000,
        "wave_p99_ms": quantile(in_waves.took_s, 0.99) * 1000,
        "early_replies": singly.early_replies + in_waves.early_replies,
    }


async def durable(server: Server, devices: int) -> Result:
    """Reset every device's secret once, without force, over one pool of connections."""
    await register(server.api, devices)
    return reset_durably(server, (one.device_id for one in identities(devices)))


async def durable_online(server: Server, devices: int) -> Result:
    """Go on resetting for a minute with all devices online: then the platform's loop lag is of nothing else."""
    raise_descriptor_limit()
    await register(server.api, devices)
    crowd = Crowd(server.port, logins(devices), Progress(devices))
    crowd.connect()
    result = reset_durably(server, for_a_minute([one.device_id for one in identities(devices)]))
    async with aiohttp.ClientSession(server.api) as http, http.get("/_platform/statistics") as answer:
        told = orjson.loads(await answer.read())
    if told["online"] != devices:
        raise NotReached(f"{told['online']} devices are online after the resets, not {devices}")
    return result | {"lag_p99_ms": told["loop_lag_p99_ms"]}


def for_a_minute(device_ids: Sequence[str]) -> Iterator[str]:
    """Go round the devices."""
    end = time.monotonic() + LAG_KEPT_S
    return takewhile(lambda _: time.monotonic() < end, cycle(device_ids))


def reset_durably(server: Server, device_ids: Iterator[str]) -> Result:
    """Reset one after the other over each of a pool of connections."""
    answered = under_way = 0
    with selectors.DefaultSelector() as selector:
        before = mark(server.pid)
        for device_id in islice(device_ids, CONNECTIONS):
            api = Api(server)
            selector.register(api.sock, selectors.EVENT_READ, api)
            api.send_reset(device_id, force=False)
            under_way += 1
        while under_way:
            ready = selector.select(PATIENCE_S)
            if not ready:
                raise NotReached(f"{under_way} resets were not answered within {PATIENCE_S} s")
            for api in (key.data for key, _ in ready):
                if api.is_answered():
                    answered += 1
                    if (following := next(device_ids, None)) is None:
                        under_way -= 1
                    else:
                        api.send_reset(following, force=False)
        after = mark(server.pid)
    return {
        "per_s": answered / (after.wall_s - before.wall_s),
        "server_cpu_s_per_1000": (after.server_cpu_s - before.server_cpu_s) / answered * 1000,
    }


async def bulk(server: Server, devices: int) -> Result:
    """Reset every device's secret once, without force, in one call; it is over when the last line is read."""
    await register(server.api, devices)
    body = {"device_ids": [one.device_id for one in identities(devices)]}
    before = mark(server.pid)
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{server.api}/_platform/devices/reset-secrets", json=body) as answer,
    ):
        told = (await answer.read()).splitlines()
    after = mark(server.pid)
    if orjson.loads(told[-1]) != {"count": devices, "reset": devices, "failed": 0}:
        raise NotReached(f"a call for {devices} resets ended with {told[-1]!r}")
    return {
        "per_s": devices / (after.wall_s - before.wall_s),
        "server_cpu_s": after.server_cpu_s - before.server_cpu_s,
    }
