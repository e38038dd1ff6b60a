"""The runner's ledger of secrets: what it drew, what the platform was told, what each device was given. Pure."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from simulator.device.keyring import Slot


@dataclass(frozen=True, slots=True)
class Identity:
    """A device as it is provisioned: as JSON, a line of what a keyturn platform registers."""

    device_id: str
    primary: str = field(repr=False)
    secondary: str | None = field(default=None, repr=False)
    product_id: str | None = None
    node_id: str | None = None
    protocol: str = "mqtt"
    secure_access: bool = False

    @property
    def endpoint(self) -> str:
        """What an LwM2M device calls itself: its node id, by default the device id without its product."""
        if self.node_id is None and self.product_id is not None:
            return self.device_id.removeprefix(f"{self.product_id}_") or self.device_id
        return self.node_id or self.device_id


@dataclass(slots=True)
class _Entry:
    """One slot of one device. `ahead` was drawn for a delivery that comes before its reset."""

    platform: str | None = field(default=None, repr=False)
    device: str | None = field(default=None, repr=False)
    ahead: str | None = field(default=None, repr=False)
    drawn: int = 0


class Ledger:
    """Draws every secret from the seed: the same seed gives the same secrets, whatever the order of events."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._entries: dict[tuple[str, Slot], _Entry] = {}

    def draw_identity(self, device_id: str, slots: Iterable[Slot]) -> Identity:
        """Make up a device that holds a first secret in each of `slots`."""
        secrets = {slot: self._draw(device_id, slot) for slot in slots}
        identity = Identity(device_id, secrets[Slot.PRIMARY], secrets.get(Slot.SECONDARY))
        self.enrol(identity)
        return identity

    def enrol(self, identity: Identity) -> None:
        """Note a device whose secrets the platform and the device both have."""
        for slot, secret in ((Slot.PRIMARY, identity.primary), (Slot.SECONDARY, identity.secondary)):
            entry = self._entry(identity.device_id, slot)
            entry.platform = entry.device = secret

    def secret_for_reset(self, device_id: str, slot: Slot) -> str:
        """What a reset sends: the secret that was delivered ahead of it, or the slot's next."""
        entry = self._entry(device_id, slot)
        return entry.ahead or self._draw(device_id, slot)

    def reset_answered(self, device_id: str, slot: Slot, secret: str) -> None:
        """The platform confirmed that this secret is in force."""
        entry = self._entry(device_id, slot)
        entry.platform = secret
        entry.ahead = None

    def secret_for_delivery(self, device_id: str, slot: Slot) -> str:
        """What a delivery hands over: what the platform has and the device lacks, or the slot's next, ahead.

        Until its reset is answered, a secret delivered ahead is delivered again.
        """
        entry = self._entry(device_id, slot)
        if entry.ahead is None:
            if entry.platform is not None and entry.platform != entry.device:
                return entry.platform
            entry.ahead = self._draw(device_id, slot)
        return entry.ahead

    def delivered(self, device_id: str, slot: Slot, secret: str) -> None:
        """The device holds this secret now."""
        self._entry(device_id, slot).device = secret

    def _entry(self, device_id: str, slot: Slot) -> _Entry:
        return self._entries.setdefault((device_id, slot), _Entry())

    def _draw(self, device_id: str, slot: Slot) -> str:
        entry = self._entry(device_id, slot)
        entry.drawn += 1
        text = f"{self._seed}:{device_id}:{slot}:{entry.drawn}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]
