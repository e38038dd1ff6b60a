"""How long NB-IoT devices are silent, and what that makes of them: they are not connected all the time.

Seconds are of the platform's monotonic clock.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import takewhile
from typing import Protocol

from broker.clock import Clock

ABNORMAL_AFTER_S, OFFLINE_AFTER_S = 25 * 3600.0, 49 * 3600.0
"""The vendor's rules for devices that are not connected all the time (its help pages on device status)."""


class Standing(StrEnum):
    ONLINE = "ONLINE"
    ABNORMAL = "ABNORMAL"
    OFFLINE = "OFFLINE"


class Watcher(Protocol):
    """Who wants to know of every device whose standing changes; it is called in the middle of that."""

    def turned(self, device_id: str, standing: Standing, utc: datetime, online_at: datetime) -> None:
        """A device, ONLINE since `online_at` or last from then on, is something else at `utc`."""


@dataclass(slots=True)
class _Heard:
    at: float
    online_at: datetime


class Silence:
    """What was last heard of devices, until they are OFFLINE; who wants to be told of changes is the `watcher`.

    Both dicts are in the order of what was last heard, so that a sweep looks at nobody whose standing stays.
    """

    def __init__(self, clock: Clock) -> None:
        self.watcher: Watcher | None = None
        self._clock = clock
        self._online: dict[str, _Heard] = {}
        self._abnormal: dict[str, _Heard] = {}

    def heard(self, device_id: str, now: float) -> None:
        heard = self._online.pop(device_id, None)
        if heard is not None:
            heard.at = now
            self._online[device_id] = heard
            return
        self._abnormal.pop(device_id, None)
        heard = self._online[device_id] = _Heard(now, self._clock.utc())
        self._tell(device_id, Standing.ONLINE, heard)

    def forget(self, device_id: str) -> None:
        """A device is gone, and nobody has to wait for it to fall silent."""
        heard = self._online.pop(device_id, None) or self._abnormal.pop(device_id, None)
        if heard is not None:
            self._tell(device_id, Standing.OFFLINE, heard)

    def of_s(self, device_id: str, now: float) -> float | None:
        """How long nothing was heard of a device; None if nothing was in this run, or it is OFFLINE."""
        heard = self._online.get(device_id) or self._abnormal.get(device_id)
        return None if heard is None else now - heard.at

    def sweep(self, now: float) -> None:
        """Notice who has fallen silent; who was so long enough for both is told of once."""
        for device_id, heard in _first(self._online, ABNORMAL_AFTER_S, now):
            self._abnormal[device_id] = self._online.pop(device_id)
            if now - heard.at <= OFFLINE_AFTER_S:
                self._tell(device_id, Standing.ABNORMAL, heard)
        for device_id, heard in _first(self._abnormal, OFFLINE_AFTER_S, now):
            del self._abnormal[device_id]
            self._tell(device_id, Standing.OFFLINE, heard)

    def _tell(self, device_id: str, standing: Standing, heard: _Heard) -> None:
        if self.watcher is not None:
            utc = heard.online_at if standing is Standing.ONLINE else self._clock.utc()
            self.watcher.turned(device_id, standing, utc, heard.online_at)


def _first(devices: Mapping[str, _Heard], silent_s: float, now: float) -> Iterable[tuple[str, _Heard]]:
    """Return the first devices, as many as were silent for longer."""
    return list(takewhile(lambda one: now - one[1].at > silent_s, devices.items()))
