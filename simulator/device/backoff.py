"""When a device tries again. Pure: the failure count and a jitter in, seconds out."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum

MAX_EXPONENT = 16


class Shape(StrEnum):
    NONE = "none"
    FIXED = "fixed"
    EXPONENTIAL = "exponential"
    FULL_JITTER = "full-jitter"
    DECORRELATED = "decorrelated"
    VENDOR = "vendor"


@dataclass(frozen=True, slots=True)
class Backoff:
    """A back-off: seconds of waiting after the n-th failure in a row.

    FULL_JITTER and DECORRELATED follow the AWS Architecture Blog, "Exponential Backoff And Jitter" (2015).
    VENDOR is the formula of the Huawei device SDKs, `min(base + 2^n * (low + 0.2 * jitter), cap)`.
    `pause_s` is added after the cap; n starts over after `cycle` failures, where that is not 0.
    """

    shape: Shape
    base_s: float = 1.0
    cap_s: float = 30.0
    low: float = 0.8
    pause_s: float = 0.0
    cycle: int = 0

    def __str__(self) -> str:
        """The formula, in seconds; u is a jitter in [0, 1), n counts failures in a row."""
        base, cap = f"{self.base_s:g}", f"{self.cap_s:g}"
        formula = {
            Shape.NONE: "0",
            Shape.FIXED: base,
            Shape.EXPONENTIAL: f"min({base}·2ⁿ, {cap})",
            Shape.FULL_JITTER: f"u·min({base}·2ⁿ, {cap})",
            Shape.DECORRELATED: f"min({base} + u·(3·last - {base}), {cap})",
            Shape.VENDOR: f"min({base} + 2ⁿ·({self.low:g} + 0.2u), {cap})",
        }[self.shape]
        return f"{formula} + {self.pause_s:g}" if self.pause_s else formula

    def delay_s(self, failures: int, previous_s: float, jitter: float) -> float:
        """Give the wait before the next try; `jitter` is in [0, 1), `previous_s` the wait before this one."""
        power = 1 << min(failures % self.cycle if self.cycle else failures, MAX_EXPONENT)
        match self.shape:
            case Shape.NONE:
                wait = 0.0
            case Shape.FIXED:
                wait = self.base_s
            case Shape.EXPONENTIAL:
                wait = self.base_s * power
            case Shape.FULL_JITTER:
                wait = jitter * min(self.cap_s, self.base_s * power)
            case Shape.DECORRELATED:
                wait = self.base_s + jitter * (3 * max(previous_s, self.base_s) - self.base_s)
            case Shape.VENDOR:
                wait = self.base_s + power * (self.low + 0.2 * jitter)
        return min(wait, self.cap_s) + self.pause_s


def jitter(seed: int, device_id: str, attempt: int) -> float:
    """A number in [0, 1) that depends on its arguments alone: same seed, same run, no generator to keep."""
    digest = hashlib.blake2b(f"{seed}:{device_id}:{attempt}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest) >> 11) / (1 << 53)
