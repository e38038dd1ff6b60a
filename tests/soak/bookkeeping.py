"""What a platform must know after it was killed: all that it acknowledged, and of the rest each change whole or not."""

import copy
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

GENERATED = ""
"""Stands for a secret that the platform made and nobody was told."""

Shown = Mapping[str, Any]
"""A device as the platform shows it: its state, and per slot its version and secret; None when there is none."""


@dataclass(slots=True)
class Known:
    """One device as its only writer knows it; `slots` is slot → (version, secret), `life` counts its creations."""

    device_id: str
    life: int = 0
    exists: bool = False
    frozen: bool = False
    slots: dict[str, tuple[int, str]] = field(default_factory=dict)
    texts: tuple[str | None, str | None] = (None, None)
    retired: list[str] = field(default_factory=list)

    def created(self, primary: str) -> None:
        self.life, self.exists, self.frozen = self.life + 1, True, False
        self.slots, self.texts = {"primary": (1, primary)}, (None, None)

    def deleted(self) -> None:
        self.retired += [secret for _, secret in self.slots.values()]
        self.exists, self.frozen, self.slots, self.texts = False, False, {}, (None, None)

    def reset(self, slot: str, secret: str) -> None:
        version, before = self.slots.get(slot, (0, ""))
        if version:
            self.retired.append(before)
        self.slots[slot] = (version + 1, secret)

    def provisioned(self, primary: str, secondary: str) -> None:
        if not self.exists:
            self.created(primary)
        else:
            self.reset("primary", primary)
        self.reset("secondary", secondary)
        self.frozen = False

    def is_shown_as(self, shown: Shown | None) -> bool:
        if shown is None or not self.exists:
            return shown is None and not self.exists
        state = (shown["frozen"], shown["device_name"], shown["description"])
        return state == (self.frozen, *self.texts) and self._slots_are(shown)

    def adopt(self, shown: Shown | None) -> None:
        """Learn the secrets that nobody was told."""
        for slot, (version, secret) in self.slots.items():
            if secret == GENERATED:
                assert shown is not None, "what has secrets is shown"
                self.slots[slot] = (version, shown[slot]["secret"])

    def _slots_are(self, shown: Shown) -> bool:
        there = {slot: shown[slot] for slot in ("primary", "secondary") if shown[slot]}
        if there.keys() != self.slots.keys():
            return False
        for slot, (version, secret) in self.slots.items():
            if there[slot]["version"] != version or secret not in (GENERATED, there[slot]["secret"]):
                return False
        return True


class Books:
    """All devices, the changes that were asked for and not answered, and every version of a secret ever in force."""

    def __init__(self) -> None:
        self.devices: dict[str, Known] = {}
        self.acknowledged = 0
        self.secrets: list[tuple[str, str, int, str]] = []
        """Of each new secret that was acknowledged its device, slot, version and value."""
        self._unanswered: dict[str, Known] = {}
        self._together: list[frozenset[str]] = []
        self._versions: dict[tuple[str, int, str, int], str] = {}

    def ask(self, after: Known) -> None:
        """A change is being asked for: this is what it would make of its device."""
        self._unanswered[after.device_id] = after

    def ask_together(self, afters: Sequence[Known]) -> None:
        """One change of several devices is being asked for: all of them or none."""
        for after in afters:
            self.ask(after)
        self._together.append(frozenset(after.device_id for after in afters))

    def acknowledge_together(self, device_ids: Collection[str]) -> None:
        self._together.remove(frozenset(device_ids))
        for device_id in device_ids:
            self.acknowledge(device_id)

    def acknowledge(self, device_id: str, told: Shown | None = None) -> None:
        """The change was acknowledged: it must be there for ever. What was told is its secret, if it has a new one."""
        self.acknowledged += 1
        before, after = self.devices[device_id], self._unanswered.pop(device_id)
        after.adopt(told)
        self.devices[device_id] = after
        self._note(after)
        is_new_life = before.life != after.life
        changed = [slot for slot in after.slots if is_new_life or after.slots[slot] != before.slots.get(slot)]
        self.secrets += [(device_id, slot, *after.slots[slot]) for slot in changed]

    def refuse(self, device_id: str) -> None:
        """The change was answered with an error: it must not be there."""
        del self._unanswered[device_id]

    def copy(self, device_id: str) -> Known:
        return copy.deepcopy(self.devices[device_id])

    @property
    def unanswered(self) -> int:
        return len(self._unanswered)

    def compare(self, shown: Mapping[str, Shown]) -> list[str]:
        """Say what a platform lost, made up or did by halves; then go on from what it shows."""
        problems, changed = [], set()
        for device_id, before in self.devices.items():
            now, after = shown.get(device_id), self._unanswered.pop(device_id, None)
            if not before.is_shown_as(now):
                if after is None or not after.is_shown_as(now):
                    problems.append(f"{before.device_id}: {_told(now)}, expected {_told(before)} or {_told(after)}")
                    continue
                self.devices[device_id] = after
                changed.add(device_id)
            self.devices[device_id].adopt(now)
            problems += self._note(self.devices[device_id])
        halved = [group for group in self._together if 0 < len(group & changed) < len(group)]
        problems += [f"{sorted(group & changed)} alone of {sorted(group)}" for group in halved]
        self._together.clear()
        return problems + [f"{one}: from nowhere" for one in shown.keys() - self.devices.keys()]

    def _note(self, known: Known) -> list[str]:
        problems = []
        for slot, (version, secret) in known.slots.items():
            first = self._versions.setdefault((known.device_id, known.life, slot, version), secret)
            if secret != first:
                problems.append(f"{known.device_id}: {slot} version {version} was another secret before")
        return problems


def _told(what: object) -> str:
    return f"[{what}]"
