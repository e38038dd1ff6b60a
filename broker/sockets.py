"""The platform's listening sockets: bound before anything else is done, so that a port in use is told at once."""

import socket

from broker.access.listener import BACKLOG
from broker.errors import SettingsError


def listen(host: str, port: int, what: str) -> socket.socket:
    """Listen for connections; raises SettingsError when that cannot be."""
    listening = _bound(host, port, what, socket.SOCK_STREAM)
    listening.listen(BACKLOG)
    return listening


def listen_together(host: str, port: int, what: str, number: int) -> list[socket.socket]:
    """Listen on one port with so many sockets, among which the kernel shares out the connections.

    Such a port may be bound by all who want to share it: whether somebody else has it is seen without that.
    """
    if number == 1:
        return [listen(host, port, what)]
    with listen(host, port, what) as alone:
        port = port_of(alone)
    together: list[socket.socket] = []
    try:
        for _ in range(number):
            together.append(_bound(host, port, what, socket.SOCK_STREAM, shared=True))
            together[-1].listen(BACKLOG)
    except BaseException:
        for one in together:
            one.close()
        raise
    return together


def receive(host: str, port: int, what: str) -> socket.socket:
    """Bind a port for datagrams; raises SettingsError when that cannot be."""
    listening = _bound(host, port, what, socket.SOCK_DGRAM)
    listening.setblocking(False)
    return listening


def port_of(listening: socket.socket) -> int:
    port: int = listening.getsockname()[1]
    return port


def _bound(host: str, port: int, what: str, kind: socket.SocketKind, *, shared: bool = False) -> socket.socket:
    try:
        family, _, protocol, _, address = socket.getaddrinfo(host, port, type=kind)[0]
        listening = socket.socket(family, kind, protocol)
        try:
            if kind is socket.SOCK_STREAM:
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if shared:
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listening.bind(address)
        except BaseException:
            listening.close()
            raise
    except OSError as error:
        raise SettingsError(f"cannot listen on {host} port {port} for {what}: {error.strerror}") from error
    return listening
