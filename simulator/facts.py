"""What the oracle knows of a device, a step, and a device's time in a step. Pure."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol


class Stand(Protocol):
    """How a device stands: live (`DeviceFacts`), or at the moment that a window closed (`Standing`)."""

    @property
    def connected(self) -> bool: ...

    @property
    def slot(self) -> str | None: ...

    @property
    def recovered(self) -> bool: ...

    @property
    def stranded(self) -> bool: ...

    @property
    def locked_out(self) -> bool: ...

    @property
    def halted(self) -> bool: ...

    @property
    def stopped(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Standing:
    """How a device stood at one moment."""

    connected: bool = False
    slot: str | None = None
    recovered: bool = False
    stranded: bool = False
    locked_out: bool = False
    halted: bool = False
    stopped: bool = False


@dataclass(slots=True)
class Window:
    """A device's time in one step: from its action in the step to its action in the next one that touches it."""

    step: str
    opened: float
    connects: int = 0
    unreachable: int = 0
    old_accepted: int = 0
    recovered: bool = False
    refused: Counter[str] = field(default_factory=Counter)
    outages: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    closed: float | None = None
    standing: Standing | None = None


@dataclass(slots=True)
class StepFacts:
    """A step of the timeline: whom it touches and how it went."""

    step: str
    verb: str
    fleets: tuple[str, ...]
    started: float
    state: str = "running"
    detail: str = ""
    ended: float | None = None


@dataclass(slots=True)
class DeviceFacts:
    """One device. `held` are (slot, fingerprint, staged); `accepted` is what the platform would take, by slot."""

    device_id: str
    fleet: str
    protocol: str
    presents: frozenset[str]
    held: list[tuple[str, str, bool]]
    accepted: dict[str, str]
    run: Window
    pending: dict[str, str] = field(default_factory=dict)
    retired: dict[str, float] = field(default_factory=dict)
    state: str = "idle"
    presented: str | None = None
    locked_out: bool = False
    recovered: bool = False
    opened_at: float = 0.0
    intended_at: float | None = None
    accepted_at: float = 0.0
    lost_at: float | None = None
    lost_in: Window | None = None
    windows: list[Window] = field(default_factory=list)

    @property
    def connected(self) -> bool:
        return self.state == "online"

    @property
    def slot(self) -> str | None:
        """The slot whose secret the live session was opened with."""
        return self.presented if self.connected else None

    @property
    def halted(self) -> bool:
        return self.state == "halted"

    @property
    def stopped(self) -> bool:
        return self.state in ("stopped", "idle")

    @property
    def stranded(self) -> bool:
        """The platform accepts none of the secrets that the device would present, if it presents any."""
        good = (*self.accepted.values(), *self.pending.values())
        return bool(self.presents) and not any(
            slot in self.presents and secret in good for slot, secret, _ in self.held
        )

    def standing(self) -> Standing:
        """A copy of how it stands now."""
        return Standing(
            self.connected,
            self.slot,
            self.recovered,
            self.stranded,
            self.locked_out,
            self.halted,
            self.stopped,
        )

    def end_outage(self, t: float) -> None:
        """The device is back, or was switched off on its way: the outage lasted until now."""
        if self.lost_at is None or self.lost_in is None:
            return
        outage = t - self.lost_at
        self.run.outages.append(outage)
        if self.lost_in is not self.run:
            self.lost_in.outages.append(outage)
        self.lost_at = self.lost_in = None

    def current_windows(self) -> tuple[Window, ...]:
        return (self.run, self.windows[-1]) if self.windows else (self.run,)

    def hold(self, slot: str, secret: str, *, staged: bool) -> None:
        """Put a secret into a slot, as the device's keyring does: beside its current one, or, once proved, as it."""
        if not staged:
            gone = [one for one in self.held if one[0] == slot and (not one[2] or one[1] == secret)]
            self.held = [*(one for one in self.held if one not in gone), (slot, secret, False)]
            return
        rest = [one for one in self.held if one[0] != slot or not one[2]]
        if rest != self.held or (slot, secret, False) not in rest:
            self.held = [*rest, (slot, secret, True)]
