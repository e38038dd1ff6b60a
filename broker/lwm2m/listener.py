"""The UDP sockets of NB-IoT devices, the one in the clear itself, and the timers of the conversations on them.

What a turn of the loop has to say goes out once, after the journal: nothing is acknowledged that the journal does not
hold. A stranger costs nothing that lasts: in the clear only the last few unregistered peers are remembered.
"""

import asyncio
import secrets
import socket
import traceback
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from broker.clock import Clock
from broker.complaints import complain
from broker.journal import Journal
from broker.lwm2m.conversations import Conversations
from broker.lwm2m.peers import Address, Peer
from broker.statistics import Statistics
from wire.coap import CoapPeer
from wire.coap.peer import NEVER

RECEIVE_BUFFER = 4 << 20
STRANGERS = 256

Send = Callable[[bytes], None]


class Outgoing:
    """Sends what a turn of the loop has to say at its end, when the journal is written."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._loop = asyncio.get_running_loop()
        self._due: list[tuple[asyncio.DatagramTransport, bytes, Address]] = []

    def send(self, transport: asyncio.DatagramTransport, datagram: bytes, address: Address) -> None:
        if not self._due:
            self._loop.call_soon(self._end_turn)
        self._due.append((transport, datagram, address))

    def _end_turn(self) -> None:
        self._journal.flush()
        due, self._due = self._due, []
        for transport, datagram, address in due:
            if not transport.is_closing():
                transport.sendto(datagram, address)


class Port(asyncio.DatagramProtocol, ABC):
    """What both ports have in common: peers, and a timer for each that waits for an acknowledgement."""

    def __init__(self, conversations: Conversations, outgoing: Outgoing, statistics: Statistics, clock: Clock) -> None:
        self.conversations = conversations
        self.statistics = statistics
        self.clock = clock
        self.loop = asyncio.get_running_loop()
        self.transport: asyncio.DatagramTransport | None = None
        self._outgoing = outgoing
        self._timers: dict[Peer, asyncio.TimerHandle] = {}

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Address) -> None:
        with self.guard(addr):
            self.take(data, addr)

    @abstractmethod
    def take(self, data: bytes, address: Address) -> None:
        """Serve a datagram."""

    @contextmanager
    def guard(self, address: object) -> Iterator[None]:
        """Lose what one peer brings about, if it is more than we can bear, and nothing else."""
        try:
            yield
        except Exception:  # noqa: BLE001 - the guard
            self.statistics.internal_errors += 1
            complain(f"serving {address} over CoAP failed\n{traceback.format_exc()}")

    @abstractmethod
    def sweep(self) -> None:
        """Called every now and then, for what is not urgent."""

    def stop(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        if self.transport is not None:
            self.transport.close()

    def send(self, datagram: bytes, address: Any) -> None:
        assert self.transport is not None, "a port that was asked has its transport"
        self._outgoing.send(self.transport, datagram, address)

    def new_peer(self, address: Address, send: Send) -> Peer:
        coap = CoapPeer(send, secrets.randbits(16), _jitter)
        return Peer(address, coap, self.clock.now(), self.watch)

    def serve(self, peer: Peer, datagram: bytes) -> None:
        try:
            self.conversations.take(peer, datagram)
        finally:
            self.watch(peer)

    def watch(self, peer: Peer) -> None:
        """Keep the timer of a peer at what it waits for."""
        timer = self._timers.pop(peer, None)
        if timer is not None:
            timer.cancel()
        wake_at = peer.coap.wake_at
        if wake_at != NEVER:
            self._timers[peer] = self.loop.call_later(wake_at - self.clock.now(), self._wake, peer)

    def forget(self, peer: Peer) -> None:
        timer = self._timers.pop(peer, None)
        if timer is not None:
            timer.cancel()

    def _wake(self, peer: Peer) -> None:
        self._timers.pop(peer, None)
        with self.guard(peer.name):
            self.conversations.wake(peer)
            self.watch(peer)


class PlainPort(Port):
    """Port 5683: whoever says that it is a device is believed."""

    def __init__(self, conversations: Conversations, outgoing: Outgoing, statistics: Statistics, clock: Clock) -> None:
        super().__init__(conversations, outgoing, statistics, clock)
        self._registered: dict[Address, Peer] = {}
        self._strangers: OrderedDict[Address, Peer] = OrderedDict()

    def take(self, data: bytes, address: Address) -> None:
        peer = self._registered.get(address) or self._stranger(address)
        self.serve(peer, data)
        if peer.registration is not None:
            self._registered[address] = peer
            self._strangers.pop(address, None)
        elif self._registered.pop(address, None) is not None:
            self._remember(peer)

    def sweep(self) -> None:
        """Forget peers whose devices have left."""
        for address in [address for address, peer in self._registered.items() if peer.registration is None]:
            self.forget(self._registered.pop(address))

    def _stranger(self, address: Address) -> Peer:
        """Remember who asks for a little while, for what it may repeat."""
        peer = self._strangers.get(address)
        if peer is None:
            peer = self.new_peer(address, partial(self._answer, address))
            self._remember(peer)
        return peer

    def _remember(self, stranger: Peer) -> None:
        self._strangers[stranger.address] = stranger
        if len(self._strangers) > STRANGERS:
            _, oldest = self._strangers.popitem(last=False)
            self.forget(oldest)

    def _answer(self, address: Address, datagram: bytes) -> None:
        self.send(datagram, address)


async def listen(port: Port, listening: socket.socket) -> None:
    """Serve a bound UDP socket; a wave of devices must not overflow it while the loop is busy."""
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    await asyncio.get_running_loop().create_datagram_endpoint(lambda: port, sock=listening)


def _jitter() -> float:
    return secrets.randbits(16) / (1 << 16)
