"""What is said of a change while it is made: the steps of it that every process takes, and what the journal is to say.

Whoever changes the registry, cuts a session or writes a record does so as in a single process; the hub's parts note it
in the draft, and `Everywhere` sends it out when the callback is over.
"""

from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from broker.auth.registry import Device, Product, Registry
from broker.auth.roma import Product as RomaProduct
from broker.auth.roma import RomaDevice, RomaRegistry
from broker.clock import Clock
from broker.journal import Journal
from broker.presence import Presence
from broker.processes.letters import (
    Forget,
    Put,
    PutForward,
    PutRoma,
    PutRomaProduct,
    Remove,
    RemoveRoma,
    RemoveRomaProduct,
    Step,
)
from broker.sessions import Session
from broker.stored import StoredStates

Later = Callable[[Callable[[], None]], object]


class Draft:
    """The change that is being made in this callback, if one is; `believed` is whose sessions it should end.

    What the hub does `afterwards`, when all have made it, is about what they say meanwhile.
    """

    def __init__(self) -> None:
        self.is_open = False
        self.steps: list[Step] = []
        self.records: list[tuple[str, dict[str, Any]]] = []
        self.believed: set[str] = set()
        self.afterwards: list[Callable[[], None]] = []

    def begin(self) -> None:
        self.is_open = True
        self.steps, self.records, self.believed, self.afterwards = [], [], set(), []

    def add(self, step: Step) -> None:
        assert self.is_open, f"{step} outside of a change would be a secret of this process"
        self.steps.append(step)


class HubRegistry(Registry):
    """The registry that the others are copies of."""

    def __init__(
        self, draft: Draft, devices: Iterable[Device], products: Iterable[Product], roma: RomaRegistry
    ) -> None:
        self._draft: Draft | None = None
        super().__init__(devices, products, HubRomaRegistry(draft, roma.products, roma))
        self._draft = draft

    def put(self, device: Device) -> None:
        super().put(device)
        if self._draft is not None:
            self._draft.add(Put(device))

    def remove(self, device_id: str) -> None:
        device = self.get(device_id)
        super().remove(device_id)
        if device is not None and self._draft is not None:
            self._draft.add(Remove(device))


class HubRomaRegistry(RomaRegistry):
    def __init__(self, draft: Draft, products: Iterable[RomaProduct], devices: Iterable[RomaDevice]) -> None:
        super().__init__(products, devices)
        self._draft = draft

    def put(self, device: RomaDevice) -> None:
        super().put(device)
        self._draft.add(PutRoma(device))

    def remove(self, device: RomaDevice) -> None:
        super().remove(device)
        self._draft.add(RemoveRoma(device))

    def put_product(self, product: RomaProduct) -> None:
        super().put_product(product)
        self._draft.add(PutRomaProduct(product))

    def remove_product(self, product_id: int) -> None:
        super().remove_product(product_id)
        self._draft.add(RemoveRomaProduct(product_id))


class HubStates(StoredStates):
    """Stored states are with the access processes; here they can be deleted."""

    def __init__(self, draft: Draft, journal: Journal, clock: Clock) -> None:
        super().__init__(journal, clock)
        self._draft = draft

    def delete(self, device_id: str, session: Session | None) -> None:  # noqa: ARG002 - who has the session knows it
        self._draft.add(Forget(device_id))


class HubClock:
    """The clock that the others go by."""

    def __init__(self, draft: Draft, clock: Clock) -> None:
        self._draft = draft
        self._clock = clock
        self.now, self.utc, self.wall = clock.now, clock.utc, clock.wall
        self.ahead = timedelta(0)

    def put_forward(self, seconds: float) -> None:
        self._clock.put_forward(seconds)
        self.ahead += timedelta(seconds=seconds)
        self._draft.add(PutForward(seconds))


class HubPresence(Presence):
    """Forgets a device when the end of its session was heard of."""

    def __init__(self, draft: Draft) -> None:
        super().__init__()
        self._draft = draft

    def forget(self, device_id: str) -> None:
        self._draft.afterwards.append(partial(super().forget, device_id))


class HubJournal(Journal):
    """A journal that says what a change has brought about when all processes have made it."""

    def __init__(self, draft: Draft, path: Path | None, clock: Clock, later: Later, ring: int) -> None:
        super().__init__(path, clock, later, ring)
        self._draft = draft

    def write(self, kind: str, **fields: Any) -> None:
        if self._draft.is_open:
            self._draft.records.append((kind, fields))
        else:
            super().write(kind, **fields)
