"""What the platform counts, and how late its loop runs."""

import os
from asyncio import AbstractEventLoop, TimerHandle
from collections import Counter, deque
from dataclasses import dataclass, field, fields
from pathlib import Path

SAMPLE_S = 0.1
SAMPLES_KEPT = 600


@dataclass(slots=True)
class Statistics:
    """Counters since the start; every field is shown by the control API under its own name."""

    connections: int = 0
    accepted: int = 0
    guests: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    uplinks: int = 0
    messages: int = 0
    delivered: int = 0
    dropped_foreign: int = 0
    dropped_queue_full: int = 0
    dropped_too_large: int = 0
    dropped_expired: int = 0
    pushed: int = 0
    push_failures: int = 0
    dropped_push_queue_full: int = 0
    resets: int = 0
    store_errors: int = 0
    internal_errors: int = 0
    bytes_in: int = 0
    bytes_out: int = 0

    def __add__(self, other: "Statistics") -> "Statistics":
        return Statistics(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(Statistics)))


@dataclass(frozen=True, slots=True)
class Figures:
    """What one process can tell of itself, or several together."""

    statistics: Statistics
    stored_states: int
    loop_lag_p99_ms: float
    rss_kb: int

    def __add__(self, other: "Figures") -> "Figures":
        """Sum up, but for the lag: the worst counts."""
        return Figures(
            self.statistics + other.statistics,
            self.stored_states + other.stored_states,
            max(self.loop_lag_p99_ms, other.loop_lag_p99_ms),
            self.rss_kb + other.rss_kb,
        )


class LoopLag:
    """Samples how late the loop is at every tick of a fixed grid; keeps the last minute.

    A blocked loop is late for each of the ticks that it missed: one long block must not count as one sample.
    """

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._samples_s: deque[float] = deque(maxlen=SAMPLES_KEPT)
        self._timer: TimerHandle | None = None
        self._due = 0.0

    def start(self) -> None:
        self._due = self._loop.time() + SAMPLE_S
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
        self._timer = self._loop.call_at(self._due, self._sample)

    def _sample(self) -> None:
        now = self._loop.time()
        while self._due <= now:
            self._samples_s.append(now - self._due)
            self._due += SAMPLE_S
        self._arm()


def resident_kb() -> int:
    """Return the memory that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024
