"""What this machine lets one process do, and whether a fleet fits; seen to before the first socket opens."""

import contextlib
import gc
import resource
from collections.abc import Iterator
from contextlib import contextmanager

from simulator.errors import UsageError
from simulator.links.dialler import source_ports

SPARE_DESCRIPTORS = 1000
SPARE_PORTS = 500


def raise_descriptor_limit() -> int:
    """Raise the soft limit of open files to the hard one; give what is in force."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


@contextmanager
def collector_spared() -> Iterator[None]:
    """Keep the garbage collector off the objects that live as long as the run.

    A full collection looks at every device: half a second of standstill with 5,000 of them, again and again.
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def check_room(devices: int, *, platform_in_loop: bool = False, relayed: bool = False) -> None:
    """Refuse a fleet that cannot be online at once, with the arithmetic.

    A platform that is `relayed`, each session to a broker, may open as many files as we may.
    """
    limit = raise_descriptor_limit()
    per_device = 2 if platform_in_loop or relayed else 1
    whose = "the platform of relayed sessions" if relayed else "this process"
    room = (limit - SPARE_DESCRIPTORS) // per_device
    if devices > room:
        raise UsageError(
            f"{devices} devices need {devices * per_device} file descriptors and {SPARE_DESCRIPTORS} to spare, "
            f"but {whose} may open {limit}: at most {room} devices (raise 'ulimit -n')"
        )
    low, high = source_ports()
    ports = high - low + 1 - SPARE_PORTS
    if devices > ports:
        raise UsageError(
            f"{devices} devices need as many source ports to one address, but {low}-{high} leaves {ports} "
            "(widen net.ipv4.ip_local_port_range)"
        )
