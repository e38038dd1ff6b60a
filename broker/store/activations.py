"""First sessions on disk: a device that was in once is not INACTIVE after a restart."""

from collections.abc import Iterable

from broker.auth.registry import Device
from broker.auth.roma import RomaDevice
from broker.errors import StoreError
from broker.presence import Presence
from broker.statistics import Statistics
from broker.store.sqlite import SqliteStore


class ActivationKeeper:
    """Saves activations now and then, many in one write: they are no secrets, and a kill may cost the last second's."""

    def __init__(self, presence: Presence, store: SqliteStore, statistics: Statistics) -> None:
        self._presence = presence
        self._store = store
        self._statistics = statistics

    def restore(self, devices: Iterable[Device | RomaDevice]) -> None:
        """Let the presence go on from what was saved; call it before the first write."""
        self._presence.restore(devices, self._store.load_activations())

    def save(self) -> None:
        """Ask for what is new to be saved; what the database refuses is asked for again the next time."""
        activations = self._presence.take_unsaved()
        if not activations:
            return

        def saved(outcome: list[Device] | StoreError) -> None:
            if isinstance(outcome, StoreError):
                self._statistics.store_errors += 1
                self._presence.put_back(activations)

        self._store.activate(activations, saved)
