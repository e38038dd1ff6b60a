"""The secrets that a device holds, and which of them it presents next.

A slot holds a *current* secret and perhaps a *staged* one: delivered, but not yet proved. A staged secret is
tried before the current one of its slot, and replaces it only when the platform accepts it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum


class Slot(StrEnum):
    PRIMARY = "primary"
    SECONDARY = "secondary"


BOTH_SLOTS = tuple(Slot)


class Fallback(StrEnum):
    """The order in which a device presents its secrets."""

    PRIMARY_ONLY = "primary-only"
    PRIMARY_THEN_SECONDARY = "primary-then-secondary"
    STICKY_LAST_GOOD = "sticky-last-good"
    ALTERNATE = "alternate"
    NEWEST_FIRST = "newest-first"

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The slots whose secrets this policy ever presents."""
        return (Slot.PRIMARY,) if self is Fallback.PRIMARY_ONLY else BOTH_SLOTS


@dataclass(frozen=True, slots=True)
class Candidate:
    """A secret that may be presented; `delivered` counts up with every secret the device was given."""

    slot: Slot
    secret: str = field(repr=False)
    staged: bool = False
    delivered: int = 0


@dataclass(slots=True)
class Keyring:
    """What is held, what the platform refused since the last change, and what comes next."""

    held: tuple[Candidate, ...]
    fallback: Fallback = Fallback.PRIMARY_THEN_SECONDARY
    _last_good: Slot = Slot.PRIMARY
    _last_presented: Slot = Slot.SECONDARY
    _delivered: int = 0
    _refused: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, primary: str, secondary: str | None = None, fallback: Fallback | None = None) -> "Keyring":
        """Build the keyring of a newly provisioned device."""
        held = [Candidate(Slot.PRIMARY, primary)]
        if secondary is not None:
            held.append(Candidate(Slot.SECONDARY, secondary))
        return cls(tuple(held), fallback or Fallback.PRIMARY_THEN_SECONDARY)

    def candidates(self) -> list[Candidate]:
        """Everything that this device would ever present, in the order of its policy."""
        slots = self.fallback.slots
        return sorted((one for one in self.held if one.slot in slots), key=self._order())

    def next(self) -> Candidate | None:
        """The candidate to present next, or None when each was refused in this round."""
        slots, refused = self.fallback.slots, self._refused
        left = [one for one in self.held if one.slot in slots and one.secret not in refused]
        return min(left, key=self._order(), default=None)

    def present(self, candidate: Candidate) -> None:
        """Note what goes onto the wire now."""
        self._last_presented = candidate.slot

    def refuse(self, candidate: Candidate) -> None:
        """Blame the secret that was presented, which need not be the newest one."""
        self._refused = (*self._refused, candidate.secret)

    def rewind(self) -> None:
        """Start a new round: every secret may be tried again."""
        self._refused = ()

    def accept(self, candidate: Candidate) -> None:
        """The platform took this secret: it is now the current one of its slot."""
        self._last_good = candidate.slot
        self._refused = ()
        if candidate.staged:
            rest = [one for one in self.held if not _superseded(one, candidate)]
            proved = Candidate(candidate.slot, candidate.secret, staged=False, delivered=candidate.delivered)
            self.held = (*rest, proved)

    def stage(self, slot: Slot, secret: str) -> None:
        """Add a delivered secret; an older staged one of the slot gives way, and a new round starts.

        The current secret delivered again is staged too if it takes a staged one's place: that one may be on the wire
        now, and when it is accepted the secret delivered last must still be held.
        """
        self._refused = ()
        rest = tuple(one for one in self.held if one.slot is not slot or not one.staged)
        if rest == self.held and any(one.slot is slot and one.secret == secret for one in rest):
            return
        self._delivered += 1
        self.held = (*rest, Candidate(slot, secret, staged=True, delivered=self._delivered))

    def _order(self) -> Callable[[Candidate], tuple[int, bool]]:
        match self.fallback:
            case Fallback.STICKY_LAST_GOOD:
                return _slot_first(self._last_good)
            case Fallback.ALTERNATE:
                return _slot_first(_other(self._last_presented))
            case Fallback.NEWEST_FIRST:
                return _newest_first
            case _:
                return _slot_first(Slot.PRIMARY)


def _superseded(one: Candidate, proved: Candidate) -> bool:
    return one.slot is proved.slot and (not one.staged or one.secret == proved.secret)


def _slot_first(first: Slot) -> Callable[[Candidate], tuple[int, bool]]:
    return lambda one: (one.slot is not first, not one.staged)


def _newest_first(one: Candidate) -> tuple[int, bool]:
    return -one.delivered, one.slot is not Slot.PRIMARY


def _other(slot: Slot) -> Slot:
    return Slot.SECONDARY if slot is Slot.PRIMARY else Slot.PRIMARY
