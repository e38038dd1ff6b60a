"""What is known of devices beyond their sessions: since when, until when, and the versions that they report."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from broker.auth.registry import Device
from broker.auth.roma import RomaDevice

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Versions:
    """What a device says that it runs."""

    device_sdk_version: str | None = None
    sw_version: str | None = None
    fw_version: str | None = None


UNREPORTED = Versions()


class Presence:
    """A device's first session ever, the end of its last one, in milliseconds, and what it reported in this run."""

    def __init__(self) -> None:
        self._activated_ms: dict[str, int] = {}
        self._left_ms: dict[str, int] = {}
        self._unsaved: list[str] = []
        self._versions: dict[str, Versions] = {}

    def restore(self, devices: Iterable[Device | RomaDevice], activated_ms: Mapping[str, int]) -> None:
        """Go on from what was saved; of an id there is one text in memory, the registry's."""
        for device in devices:
            if device.device_id in activated_ms:
                self._activated_ms[device.device_id] = activated_ms[device.device_id]

    def entered(self, device_id: str, utc: datetime) -> None:
        if device_id not in self._activated_ms:
            self._activated_ms[device_id] = _milliseconds(utc)
            self._unsaved.append(device_id)

    def left(self, device_id: str, utc: datetime) -> None:
        self._left_ms[device_id] = _milliseconds(utc)

    def forget(self, device_id: str) -> None:
        """Know nothing of a device that was deleted."""
        self._activated_ms.pop(device_id, None)
        self._left_ms.pop(device_id, None)
        self._versions.pop(device_id, None)

    def reported(self, device_id: str, versions: Versions) -> None:
        self._versions[device_id] = versions

    def versions(self, device_id: str) -> Versions:
        return self._versions.get(device_id, UNREPORTED)

    def was_in(self, device_id: str) -> bool:
        return device_id in self._activated_ms

    def activated_at(self, device_id: str) -> datetime | None:
        return _moment(self._activated_ms.get(device_id))

    def left_at(self, device_id: str) -> datetime | None:
        """When its last session ended, if that was in this run."""
        return _moment(self._left_ms.get(device_id))

    def take_unsaved(self) -> list[tuple[str, int]]:
        """Return the activations since the last call."""
        unsaved, self._unsaved = self._unsaved, []
        return [(one, self._activated_ms[one]) for one in unsaved if one in self._activated_ms]

    def put_back(self, unsaved: Iterable[tuple[str, int]]) -> None:
        """They could not be saved: they are for the next call again."""
        self._unsaved += [device_id for device_id, _ in unsaved]


def _milliseconds(utc: datetime) -> int:
    return (utc - _EPOCH) // _MILLISECOND


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else _EPOCH + milliseconds * _MILLISECOND
