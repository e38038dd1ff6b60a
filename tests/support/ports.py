"""Loopback ports on which nobody answers."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


def unused_port() -> int:
    """A port where nobody listens: a connection is refused."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def unanswering_port() -> Iterator[int]:
    """A port where a connection hangs: the backlog is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        with socket.create_connection(listener.getsockname()):
            yield int(listener.getsockname()[1])


def unused_udp_port() -> int:
    """A UDP port where nobody listens, nor on the one before it."""
    while True:
        with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as before:
            one.bind(("127.0.0.1", 0))
            port = int(one.getsockname()[1])
            try:
                before.bind(("127.0.0.1", port - 1))
            except OSError:
                continue
            return port
