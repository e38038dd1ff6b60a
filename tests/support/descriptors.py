"""The sockets of this process, to see what is leaked."""

import contextlib
import os

Descriptor = tuple[int, str]


def open_sockets() -> set[Descriptor]:
    """Every open socket: its descriptor with its inode, so that a number used again counts as another one.

    Other descriptors are left out: an event loop opens some of its own when it first needs them.
    """
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the one that read the folder is gone
            found.add((int(name), os.readlink(f"/proc/self/fd/{name}")))
    return {one for one in found if one[1].startswith("socket:")}
