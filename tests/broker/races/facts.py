"""What the clients of a platform under stress know; times are seconds of the clock that its journal counts in."""

import math
from dataclasses import dataclass, field
from typing import Any

Record = dict[str, Any]

NOBODY: frozenset[str] = frozenset()


@dataclass(slots=True)
class Attempt:
    """One CONNECT, from an address that no other attempt has."""

    device: str
    peer: str
    fingerprint: str
    began: float
    answered: float = math.inf
    code: int | None = None
    acknowledged: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Call:
    """One call of the control API; `kind` is the record that it leaves when it is served.

    `still_open` is which connections of the device the kernel held open when the reply was read.
    """

    kind: str
    device: str
    sent: float
    replied: float = math.inf
    status: int = 0
    request_id: str = ""
    slot: str = ""
    fingerprint: str = ""
    forced: bool = False
    still_open: frozenset[str] = NOBODY

    @property
    def is_served(self) -> bool:
        return 200 <= self.status < 300

    @property
    def cuts(self) -> bool:
        return self.forced or self.kind in ("frozen", "deleted")


@dataclass(slots=True)
class Facts:
    """The clients' side of a run."""

    attempts: list[Attempt] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
