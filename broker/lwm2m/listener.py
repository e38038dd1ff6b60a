"""The UDP sockets of NB-IoT devices: one in the clear and one with DTLS, and the timers of the conversations on them.

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
from broker.journal import Journal, beginning
from broker.lwm2m.admission import Admission
from broker.lwm2m.conversations import Conversations
from broker.lwm2m.peers import Address, Peer
from broker.statistics import Statistics
from wire.coap import CoapPeer
from wire.coap.peer import NEVER
from wire.dtls import DtlsListener, End, Ended, Opened, Received, Server, Session

RECEIVE_BUFFER = 4 << 20
STRANGERS = 256
UNREGISTERED_S = 60.0
"""How long a DTLS session lives on which nobody is registered: it takes 65 KB."""
COOKIE_KEY_BYTES = 32

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


class SecurePort(Port):
    """Port 5684: who has the key of its endpoint is a device."""

    def __init__(
        self,
        conversations: Conversations,
        admission: Admission,
        outgoing: Outgoing,
        journal: Journal,
        statistics: Statistics,
        clock: Clock,
    ) -> None:
        super().__init__(conversations, outgoing, statistics, clock)
        self._admission = admission
        self._journal = journal
        server = Server(admission.key_of, secrets.token_bytes(COOKIE_KEY_BYTES))
        self._dtls = DtlsListener(server, self.send)
        self._peers: dict[Session, Peer] = {}
        self._tick: asyncio.TimerHandle | None = None

    def take(self, data: bytes, address: Address) -> None:
        for event in self._dtls.receive(data, address, self.clock.now()):
            match event:
                case Opened(_, session):
                    self._opened(session, address)
                case Received(_, session, said) if session in self._peers:
                    self.serve(self._peers[session], said)
                case Ended(_, session):
                    self._ended(session, address)
        self._tick_if_due()

    def sweep(self) -> None:
        """End sessions that are of no use to a registered device."""
        latest = self.clock.now() - UNREGISTERED_S
        for session in [one for one, peer in self._peers.items() if peer.registration is None and peer.since < latest]:
            session_peer = self._peers[session]
            self._dtls.close(session_peer.address)
            self._ended(session, session_peer.address)

    def stop(self) -> None:
        if self._tick is not None:
            self._tick.cancel()
        super().stop()

    def _opened(self, session: Session, address: Address) -> None:
        """A handshake is over. A reset that overtook it has the last word: the key is judged again."""
        assert session.identity is not None, "who has proved a key has named itself"
        version = self._admission.version_of(session.identity, session.key)
        if version is None:
            self._dtls.close(address)
            self._refused(session, End.WRONG_KEY, address)
            return
        peer = self.new_peer(address, partial(self._say, session, address))
        peer.identity, peer.version = session.identity, version
        self._peers[session] = peer
        self._journal.write("handshake", endpoint=_name(session), version=version, peer=peer.name)

    def _say(self, session: Session, address: Address, datagram: bytes) -> None:
        """Send in a session; what is left to say when it is over is not for whoever has the address now."""
        if self._dtls.session(address) is session:
            self._dtls.send(address, datagram)

    def _ended(self, session: Session, address: Address) -> None:
        peer = self._peers.pop(session, None)
        if peer is not None:
            self.forget(peer)
            self.conversations.lost(peer)
            self._journal.write("session_ended", endpoint=_name(session), reason=session.end, peer=peer.name)
        elif session.identity is not None:
            self._refused(session, session.end, address)

    def _refused(self, session: Session, reason: End | None, address: Address) -> None:
        peer = f"{address[0]}:{address[1]}"
        self._journal.write("handshake_failed", endpoint=_name(session), reason=reason, peer=peer)

    def _tick_if_due(self) -> None:
        """Resend handshakes as long as there are any."""
        if self._tick is None and self._dtls.wakes_in_s != NEVER:
            self._tick = self.loop.call_later(self._dtls.wakes_in_s, self._on_tick)

    def _on_tick(self) -> None:
        self._tick = None
        with self.guard("handshakes"):
            for event in self._dtls.wake(self.clock.now()):
                if isinstance(event, Ended) and isinstance(event.peer, tuple):
                    self._ended(event.session, event.peer)
        self._tick_if_due()


async def listen(port: Port, listening: socket.socket) -> None:
    """Serve a bound UDP socket; a wave of devices must not overflow it while the loop is busy."""
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    await asyncio.get_running_loop().create_datagram_endpoint(lambda: port, sock=listening)


def _name(session: Session) -> str:
    """What a session's peer calls itself, cut to what a journal may hold."""
    return beginning((session.identity or b"").decode("ascii", "replace"))


def _jitter() -> float:
    return secrets.randbits(16) / (1 << 16)
