"""Several access processes beside one: `python -m tests.benchmarks.processes --processes 1 2`.

All devices connect; some are reset singly, the others in waves of forced resets, and every reply is compared with the
device's own socket: was the old session still open when its reply was read? With `--kill`, an access process is killed
in the middle of every tenth wave.
"""

import argparse
import asyncio
import errno
import os
import selectors
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from simulator.limits import raise_descriptor_limit
from tests.benchmarks.devices import logins, register
from tests.benchmarks.loader import Crowd
from tests.benchmarks.meter import SETTLE_S, NotReached, cpu_s, quantile
from tests.benchmarks.ramp import Progress
from tests.benchmarks.resets import PATIENCE_S, SINGLY, WAVE, Api, Cuts
from tests.benchmarks.servers import Server
from tests.support.commands import serving

KILL_EVERY = 10


@dataclass(frozen=True, slots=True)
class Shares:
    """Who serves: the platform's own process first."""

    journal: Path
    hub: int

    @property
    def pids(self) -> list[int]:
        return [self.hub, *self.access]

    @property
    def access(self) -> list[int]:
        serving: dict[int, int] = {}
        for line in self.journal.read_bytes().splitlines():
            if b'"kind":"process"' in line:
                one = orjson.loads(line)
                if one["state"] == "serving":
                    serving[one["process"]] = one["pid"]
                else:
                    del serving[one["process"]]
        return list(serving.values())

    def cpu_s(self) -> list[float]:
        return [cpu_s(pid) for pid in self.pids]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.processes")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--kill", action="store_true")
    asked = parser.parse_args()
    raise_descriptor_limit()
    for processes in asked.processes:
        try:
            asyncio.run(_measure(processes, asked.devices, kill=asked.kill))
        except NotReached as error:
            sys.stderr.write(f"no figures: {error}\n")
            return 1
    return 0


async def _measure(processes: int, devices: int, *, kill: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="keyturn-figures-") as name:
        journal, db = Path(name) / "platform.jsonl", Path(name) / "platform.db"
        flags = ("--access-processes", str(processes), "--journal", journal, "--db", db)
        async with serving(*flags) as platform:
            server = Server(platform.process.pid, platform.mqtt_port, platform.api)
            await register(server.api, devices)
            shares = Shares(journal, platform.process.pid)
            online = _connect(server, shares, processes, devices)
            _reset(server, shares, online, kill=kill)


def _connect(server: Server, shares: Shares, processes: int, devices: int) -> dict[str, socket.socket]:
    progress = Progress(devices)
    crowd = Crowd(server.port, logins(devices), progress)
    before, begun = shares.cpu_s(), time.monotonic()
    crowd.connect()
    time.sleep(SETTLE_S)
    used = [round(now - then, 2) for now, then in zip(shares.cpu_s(), before, strict=True)]
    rate = devices / (progress.recovered_at - begun)
    print(f"{processes} process(es): {devices} connects at {rate:,.0f}/s; CPU seconds {used}, in all {sum(used):.2f}")
    return crowd.sockets


def _reset(server: Server, shares: Shares, online: dict[str, socket.socket], *, kill: bool) -> None:
    waiting = list(online.items())
    apis = [Api(server) for _ in range(WAVE)]
    singly, in_waves = Cuts(), Cuts()
    while len(waiting) % WAVE or len(singly.took_s) < SINGLY:
        singly.run(apis[:1], [waiting.pop()])
    begun, waves, killed, early, refused = time.monotonic(), 0, 0, 0, 0
    while waiting:
        wave, waiting = waiting[:WAVE], waiting[WAVE:]
        waves += 1
        if kill and waves % KILL_EVERY == 0:
            serving = shares.access
            victim = serving[killed % len(serving)]
            found = _killing_wave(apis, wave, victim)
            killed, early, refused = killed + 1, early + found[0], refused + found[1]
            waiting = [one for one in waiting if not _is_over(one[1])]
            _until_replaced(shares, victim, len(serving))
        else:
            in_waves.run(apis[: len(wave)], wave)
    took_s = time.monotonic() - begun
    early += singly.early_replies + in_waves.early_replies
    for what, cuts in (("singly", singly), ("in waves", in_waves)):
        p50, p99 = (quantile(cuts.took_s, one) * 1000 for one in (0.5, 0.99))
        print(f"  {len(cuts.took_s)} forced resets {what}: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    print(
        f"  {waves} waves of {WAVE} in {took_s:.1f} s; {killed} kills; not 200: {refused}; sessions that lived: {early}"
    )


def _killing_wave(apis: Sequence[Api], wave: Sequence[tuple[str, socket.socket]], victim: int) -> tuple[int, int]:
    """Kill a process when half of the replies are there; count early replies, and those that are none of success."""
    early = refused = answered = 0
    with selectors.DefaultSelector() as selector:
        for api, (device_id, sock) in zip(apis, wave, strict=False):
            selector.register(api.sock, selectors.EVENT_READ, (api, sock))
            api.send_reset(device_id, force=True)
        while answered < len(wave):
            ready = selector.select(PATIENCE_S)
            if not ready:
                raise NotReached(f"{len(wave) - answered} resets were not answered after a kill")
            for key, _ in ready:
                api, sock = key.data
                try:
                    if not api.is_answered():
                        continue
                except NotReached:
                    refused += 1
                answered += 1
                early += not _is_over(sock)
                selector.unregister(api.sock)
                if answered == len(wave) // 2:
                    os.kill(victim, signal.SIGKILL)
    return early, refused


def _is_over(sock: socket.socket) -> bool:
    try:
        return sock.recv(64, socket.MSG_DONTWAIT | socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError as error:
        return error.errno == errno.ECONNRESET


def _until_replaced(shares: Shares, victim: int, number: int) -> None:
    """Wait until a killed process has a successor."""
    deadline = time.monotonic() + PATIENCE_S
    while victim in (serving := shares.access) or len(serving) < number:
        if time.monotonic() > deadline:
            raise NotReached("a killed process has no successor")
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
