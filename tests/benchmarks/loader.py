"""Devices as bare sockets: prebuilt packets out, expected bytes in. What they cost is next to nothing."""

import selectors
import socket
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from simulator.links.dialler import IP_LOCAL_PORT_RANGE, source_ports
from tests.benchmarks.devices import KEEPALIVE_S, Login, register
from tests.benchmarks.meter import NotReached, Result
from tests.benchmarks.ramp import Progress, ramp
from tests.benchmarks.servers import Server
from wire.mqtt import ConnAck, Connect, PubAck, Publish

UNDER_WAY = 64
"""Devices between CONNECT and PUBACK: fewer than the backlog of mosquitto takes."""

PATIENCE_S = 30.0
CONNACK, PUBACK = ConnAck().encode(), PubAck(1).encode()


async def connect(server: Server, devices: int) -> Result:
    """Connect all devices, at a server of either kind."""
    if server.api:
        await register(server.api, devices)
    return ramp(server, devices, lambda known, progress: Crowd(server.port, known, progress).connect)


@dataclass(slots=True)
class Peer:
    """One device: its socket, what it says when it is accepted, and the answer that it waits for."""

    device_id: str
    sock: socket.socket
    greeting: bytes
    awaited: bytes = CONNACK


class Crowd:
    """Many such devices; they tell `progress` how far they have come."""

    def __init__(self, port: int, known: Iterable[Login], progress: Progress) -> None:
        self._address = ("127.0.0.1", port)
        self._queue = deque((login, _connect_packet(login)) for login in known)
        self._progress = progress
        self._selector = selectors.DefaultSelector()
        self._under_way = 0
        low, high = source_ports()
        self._port_range = (high << 16 | low).to_bytes(4, "little")
        self.sockets: dict[str, socket.socket] = {}

    def connect(self) -> None:
        """Bring everybody in, a bounded number of them at a time; NotReached when one is turned away."""
        while self._queue or self._under_way:
            while self._queue and self._under_way < UNDER_WAY:
                self._open(*self._queue.popleft())
            ready = self._selector.select(PATIENCE_S)
            if not ready:
                raise NotReached(f"bare sockets: {self._under_way} devices got no answer in {PATIENCE_S} s")
            for key, _ in ready:
                self._read(key.data)

    def _open(self, login: Login, packet: bytes) -> None:
        sock = socket.socket()
        sock.setsockopt(socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE, self._port_range)
        sock.connect(self._address)
        sock.send(packet)
        greeting = Publish(login.topic, login.greeting, qos=1, packet_id=1).encode()
        peer = Peer(login.credentials.username, sock, greeting)
        self.sockets[peer.device_id] = sock
        self._selector.register(sock, selectors.EVENT_READ, peer)
        self._under_way += 1

    def _read(self, peer: Peer) -> None:
        answer = peer.sock.recv(64)
        if answer != peer.awaited:
            raise NotReached(f"{peer.device_id}: expected {peer.awaited.hex()}, got {answer.hex() or 'the end'}")
        if answer == CONNACK:
            self._progress.accept()
            peer.awaited = PUBACK
            peer.sock.send(peer.greeting)
        else:
            self._progress.recover()
            self._selector.unregister(peer.sock)
            self._under_way -= 1


def _connect_packet(login: Login) -> bytes:
    who = login.credentials
    return Connect(who.client_id, who.username, who.password.encode(), keepalive=KEEPALIVE_S).encode()
