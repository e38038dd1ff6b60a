"""Opens TCP connections for thousands of links: own sockets, a bound on how many are under way, no task in waiting."""

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from simulator.links.link import Endpoint
from simulator.links.turnstile import Turnstile

# Linux >= 6.3. Without it the kernel tries only one parity of source ports first, and connecting becomes twenty
# times slower once half of the range to one destination is in use.
IP_LOCAL_PORT_RANGE = 51
PORT_RANGE_FILE = "/proc/sys/net/ipv4/ip_local_port_range"
MAX_UNDER_WAY = 1024
MAX_PER_TURN = 64  # so that a storm of dials does not keep the loop from everything else


def source_ports() -> tuple[int, int]:
    """The machine's range of ephemeral ports, inclusive."""
    try:
        with open(PORT_RANGE_FILE, encoding="ascii") as file:
            low, high = file.read().split()
    except (OSError, ValueError):
        return 32_768, 60_999
    return int(low), int(high)


@dataclass(slots=True, eq=False)
class Dial:
    """One connection attempt under way or in the queue."""

    done: Callable[[socket.socket], None]
    failed: Callable[[str], None]
    wanted: bool = True
    sock: socket.socket | None = None


class Dialler:
    """Connects to one endpoint, at most `MAX_UNDER_WAY` at a time so that the platform's backlog does not overflow."""

    def __init__(self, loop: asyncio.AbstractEventLoop, endpoint: Endpoint) -> None:
        self._loop = loop
        self._address = (endpoint.host, endpoint.port)
        self._family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
        self._turnstile = Turnstile(loop, MAX_UNDER_WAY, MAX_PER_TURN)
        low, high = source_ports()
        self._port_range = (high << 16 | low).to_bytes(4, "little")

    def dial(self, done: Callable[[socket.socket], None], failed: Callable[[str], None]) -> Dial:
        """Connect; `done(sock)` or `failed(reason)` is called later, never from within this call."""
        dial = Dial(done, failed)
        self._turnstile.enter(partial(self._begin, dial))
        return dial

    def give_up(self, dial: Dial) -> None:
        """End an attempt at once; nobody is called back."""
        dial.wanted = False
        if dial.sock is not None:
            self._loop.remove_writer(dial.sock)
            self._finish(dial, errno.ECANCELED)

    def _begin(self, dial: Dial) -> bool:
        """The turn has come; False if nobody waits for it any more."""
        if not dial.wanted:
            return False
        try:
            dial.sock = self._socket()
        except OSError as error:
            self._finish(dial, error.errno or errno.EMFILE)
            return True
        code = dial.sock.connect_ex(self._address)
        if code == errno.EINPROGRESS:  # on the loopback the hands are shaken by now, and asking again tells
            code = dial.sock.connect_ex(self._address)
        if code == errno.EALREADY:
            self._loop.add_writer(dial.sock, self._writable, dial)
        else:
            self._finish(dial, 0 if code == errno.EISCONN else code)
        return True

    def _socket(self) -> socket.socket:
        sock = socket.socket(self._family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        with contextlib.suppress(OSError):  # an older kernel: slower, not wrong
            sock.setsockopt(socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE, self._port_range)
        return sock

    def _writable(self, dial: Dial) -> None:
        assert dial.sock is not None
        self._loop.remove_writer(dial.sock)
        self._finish(dial, dial.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    def _finish(self, dial: Dial, code: int) -> None:
        sock, dial.sock = dial.sock, None
        if sock is not None and code:
            sock.close()
        self._turnstile.leave()
        if not dial.wanted:
            return
        if code or sock is None:
            dial.failed(os.strerror(code))
        else:
            dial.done(sock)
