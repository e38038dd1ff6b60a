"""What the hub and the access processes say to each other. Pure.

All of it is in order, each way; that is what every promise of several processes rests on.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from broker.auth.registry import Device, Product, Slot
from broker.auth.roma import Product as RomaProduct
from broker.auth.roma import RomaDevice
from broker.presence import Versions
from broker.sessions import Ending
from broker.settings import Settings
from broker.statistics import Figures

EVERYBODY = "*"
"""In the place of a device id, which it cannot be."""


class Put(NamedTuple):
    device: Device

    @property
    def about(self) -> tuple[str, ...]:
        """Whose CONNECTs it bears upon, by the names that they come under."""
        return self.device.device_id, self.device.node_id


class Remove(NamedTuple):
    device: Device

    @property
    def about(self) -> tuple[str, ...]:
        return self.device.device_id, self.device.node_id


class PutRoma(NamedTuple):
    device: RomaDevice

    @property
    def about(self) -> tuple[str, ...]:
        return (self.device.client_id,)


class RemoveRoma(NamedTuple):
    device: RomaDevice

    @property
    def about(self) -> tuple[str, ...]:
        return (self.device.client_id,)


class PutRomaProduct(NamedTuple):
    product: RomaProduct
    about: tuple[str, ...] = (EVERYBODY,)


class RemoveRomaProduct(NamedTuple):
    product_id: int
    about: tuple[str, ...] = ()


class Cut(NamedTuple):
    device_id: str
    ending: Ending

    @property
    def about(self) -> tuple[str, ...]:
        return (self.device_id,)


class Forget(NamedTuple):
    """The device is no more: nothing is kept of it."""

    device_id: str

    @property
    def about(self) -> tuple[str, ...]:
        return (self.device_id,)


class PutForward(NamedTuple):
    """The clock."""

    seconds: float
    about: tuple[str, ...] = (EVERYBODY,)


class ShareTopics(NamedTuple):
    """Somebody is about to subscribe to a custom topic: from now on the hub is told of every custom message."""

    about: tuple[str, ...] = ()


Step = (
    Put | Remove | PutRoma | RemoveRoma | PutRomaProduct | RemoveRomaProduct | Cut | Forget | PutForward | ShareTopics
)


# -- from the hub


class Begin(NamedTuple):
    """All that an access process starts with; `ahead` is how far the clock was put forward."""

    settings: Settings
    run: str
    number: int
    devices: list[Device]
    products: list[Product]
    roma_products: list[RomaProduct]
    roma_devices: list[RomaDevice]
    ahead: timedelta
    certificate: tuple[Path, Path] | None
    shares_topics: bool


class Change(NamedTuple):
    """To be made in one callback, and confirmed; until it is settled no CONNECT that it bears upon is judged."""

    number: int
    steps: list[Step]


class Settled(NamedTuple):
    """Every process has made a change, or is given up, and the journal says so."""

    number: int


class Granted(NamedTuple):
    """The device is a process's own, with what another kept of it (pickled), and the messages since then."""

    claim: int
    device_id: str
    estate: bytes | None = None
    missed: tuple["Said", ...] = ()


class Denied(NamedTuple):
    claim: int
    detail: str


class Release(NamedTuple):
    """Another process wants a device: cut its session, and hand over what is kept."""

    number: int
    device_id: str


class Ask(NamedTuple):
    """A call of the control API that is for a device, or for the process itself."""

    number: int
    call: str
    arguments: tuple[Any, ...]


class Stop(NamedTuple):
    pass


# -- to the hub


class Ready(NamedTuple):
    pid: int


class Unfit(NamedTuple):
    """It cannot be started as asked."""

    message: str


class Lines(NamedTuple):
    """What the process has written to the journal, and how many lines of it are lost in all."""

    data: bytes
    lost: int


class Confirmed(NamedTuple):
    """A change is made; `cut` is whose sessions it has ended."""

    number: int
    cut: tuple[str, ...]


class Claim(NamedTuple):
    """A CONNECT is judged, and its session waits to be the device's only one."""

    number: int
    device_id: str
    slot: Slot
    version: int
    client_id: str
    peer: str
    connected_at: datetime
    level: int


class Withdrawn(NamedTuple):
    """A claim's connection ended before it was granted, as far as the process knew, or its judgement is void."""

    number: int
    device_id: str


class Came(NamedTuple):
    """A session is open; said only where an engine could have refused it."""

    claim: int
    device_id: str


class Went(NamedTuple):
    """A session is over; `kept` tells whether anything of the device stays with the process."""

    claim: int
    device_id: str
    utc: datetime
    for_good: bool
    kept: bool


class Released(NamedTuple):
    number: int
    estate: bytes | None


class Answered(NamedTuple):
    """`error` is a kind, arguments and attributes: not every error can be made from its arguments again."""

    number: int
    value: Any
    error: tuple[type[Exception], tuple[Any, ...], dict[str, Any]] | None = None


class Said(NamedTuple):
    """A message on a custom topic (a pickled PUBLISH): it reaches subscribers when the hub has passed it on."""

    sender: str
    packet: bytes


class WantsTopics(NamedTuple):
    """The first subscription to a custom topic waits."""


class Reported(NamedTuple):
    device_id: str
    versions: Versions


class Counted(NamedTuple):
    """Told now and then, so that what a process counted outlives it."""

    figures: Figures
