"""What processes have used, and what kind of machine this is."""

import os
import platform
import resource
import time
from dataclasses import dataclass
from pathlib import Path

Result = dict[str, float]

SETTLE_S = 0.5
"""So long a server may still be busy with what its clients have seen the end of."""

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_KB = os.sysconf("SC_PAGE_SIZE") / 1024


class NotReached(Exception):
    """A phase that is measured did not come to its end: there is no figure."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One moment: seconds of the clock, CPU seconds and resident KB of this process and of the server."""

    wall_s: float
    client_cpu_s: float
    server_cpu_s: float
    client_kb: float
    server_kb: float


def mark(server: int) -> Mark:
    """Take stock; `server` is a process id."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    own = used.ru_utime + used.ru_stime
    return Mark(time.monotonic(), own, cpu_s(server), resident_kb(os.getpid()), resident_kb(server))


def connected(empty: Mark, before: Mark, after: Mark, idle: Mark) -> Result:
    """What a ramp of connects took: without devices, before, when all were there, and once the server was done."""
    return {
        "client_cpu_s": after.client_cpu_s - before.client_cpu_s,
        "server_cpu_s": idle.server_cpu_s - before.server_cpu_s,
        "client_kb": idle.client_kb - empty.client_kb,
        "server_kb": idle.server_kb - before.server_kb,
        "server_and_registry_kb": idle.server_kb - empty.server_kb,
    }


def cpu_s(pid: int) -> float:
    """User and system seconds of a process, all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_kb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_KB


def quantile(values: list[float], share: float) -> float:
    """The nearest-rank quantile."""
    ascending = sorted(values)
    return ascending[min(len(ascending) - 1, int(share * len(ascending)))]


def machine() -> str:
    """CPU, memory, kernel and Python, in one line."""
    models = [line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory_kb = next(int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal"))
    kind = models[0] if models else platform.machine()
    return (
        f"{os.cpu_count()} cores ({kind}), {memory_kb / 1024**2:.0f} GiB, Linux {platform.release()}, "
        f"Python {platform.python_version()}"
    )


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()
