"""What the platform counts, and how late its loop runs."""

import os
from asyncio import AbstractEventLoop, TimerHandle
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path

SAMPLE_S = 0.1
SAMPLES_KEPT = 600


@dataclass(slots=True)
class Statistics:
    """Counters since the start; every field is shown by the control API under its own name."""

    connections: int = 0
    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    uplinks: int = 0
    messages: int = 0
    delivered: int = 0
    dropped_foreign: int = 0
    dropped_queue_full: int = 0
    resets: int = 0
    store_errors: int = 0
    internal_errors: int = 0
    bytes_in: int = 0
    bytes_out: int = 0


class LoopLag:
    """Samples how much later than asked the loop calls back; keeps the last minute."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._samples_s: deque[float] = deque(maxlen=SAMPLES_KEPT)
        self._timer: TimerHandle | None = None

    def start(self) -> None:
        self._arm()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def p99_ms(self) -> float:
        if not self._samples_s:
            return 0.0
        ordered = sorted(self._samples_s)
        return round(ordered[int(len(ordered) * 0.99)] * 1000, 3)

    def _arm(self) -> None:
        self._timer = self._loop.call_later(SAMPLE_S, self._sample, self._loop.time() + SAMPLE_S)

    def _sample(self, intended: float) -> None:
        self._samples_s.append(max(0.0, self._loop.time() - intended))
        self._arm()


def resident_kb() -> int:
    """Return the memory that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024
