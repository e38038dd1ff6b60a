"""CONNECTs that come while a change of their device is under way: they wait until it is settled. Pure."""

from collections import Counter
from collections.abc import Iterable
from typing import Generic, TypeVar

from broker.auth.credentials import parse_client_id
from broker.processes.letters import EVERYBODY

C = TypeVar("C")


class Door(Generic[C]):
    """Shut to the names that changes bear upon; `C` is whoever waits."""

    def __init__(self) -> None:
        self._changes: dict[int, frozenset[str]] = {}
        self._shut: Counter[str] = Counter()
        self._waiting: dict[str, list[C]] = {}

    def is_shut(self, client_id: str) -> bool:
        return bool(self._shut) and self._is_shut(name_of(client_id))

    def wait(self, client_id: str, who: C) -> None:
        self._waiting.setdefault(name_of(client_id), []).append(who)

    def shut(self, change: int, names: Iterable[str]) -> None:
        self._changes[change] = frozenset(names)
        self._shut.update(self._changes[change])

    def open(self, change: int) -> list[C]:
        """A change is settled; return who waits for no other."""
        names = self._changes.pop(change, frozenset())
        for name in names:
            self._shut[name] -= 1
            if not self._shut[name]:
                del self._shut[name]
        freed = list(self._waiting) if EVERYBODY in names else [name for name in names if name in self._waiting]
        return [who for name in freed if not self._is_shut(name) for who in self._waiting.pop(name)]

    def _is_shut(self, name: str) -> bool:
        return name in self._shut or EVERYBODY in self._shut


def name_of(client_id: str) -> str:
    """Return the name that a change would know a client by: a device id, a node id or, of ROMA LINK, all of it."""
    identity = parse_client_id(client_id)
    return client_id if identity is None else identity.name
