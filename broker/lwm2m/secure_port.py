"""The port of devices that prove their secret: DTLS sessions, each with a peer in it."""

import asyncio
import secrets
from functools import partial

from broker.auth.registry import Device
from broker.clock import Clock
from broker.journal import Journal, beginning
from broker.lwm2m.admission import Admission
from broker.lwm2m.conversations import Conversations
from broker.lwm2m.listener import Outgoing, Port
from broker.lwm2m.peers import Address, Peer
from broker.lwm2m.registrations import Departure
from broker.statistics import Statistics
from wire.coap.peer import NEVER
from wire.dtls import DtlsListener, End, Ended, Opened, Received, Server, Session

UNREGISTERED_S = 60.0
"""How long a DTLS session lives on which nobody is registered: it takes 65 KB."""
COOKIE_KEY_BYTES = 32


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
        self._by_identity: dict[bytes, list[Session]] = {}
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

    def cut(self, identity: bytes) -> bool:
        """End the sessions of an identity without a word, as if they had never been; tell whether there were any.

        Who goes on in one is a stranger, and a stranger is answered only if it sends a ClientHello.
        """
        sessions = tuple(self._by_identity.get(identity, ()))
        for session in sessions:
            address = self._peers[session].address
            session.end = End.CLOSED  # in a session that is over nobody says goodbye
            self._dtls.close(address)
            self._ended(session, address, Departure.RESET)
        return bool(sessions)

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
        self._by_identity.setdefault(session.identity, []).append(session)
        self._note("handshake", session, version=version, peer=peer.name)

    def _say(self, session: Session, address: Address, datagram: bytes) -> None:
        """Send in a session; what is left to say when it is over is not for whoever has the address now."""
        if self._dtls.session(address) is session:
            self._dtls.send(address, datagram)

    def _ended(self, session: Session, address: Address, departure: Departure | None = None) -> None:
        peer = self._peers.pop(session, None)
        if peer is not None:
            self._forget_identity(session)
            self.forget(peer)
            self.conversations.lost(peer)
            reason = departure or session.end
            self._note("session_ended", session, reason=reason, peer=peer.name)
        elif session.identity is not None:
            self._refused(session, session.end, address)

    def _forget_identity(self, session: Session) -> None:
        assert session.identity is not None, "a session with a peer has an identity"
        sessions = self._by_identity[session.identity]
        sessions.remove(session)
        if not sessions:
            del self._by_identity[session.identity]

    def _refused(self, session: Session, reason: End | None, address: Address) -> None:
        self._note("handshake_failed", session, reason=reason, peer=f"{address[0]}:{address[1]}")

    def _note(self, kind: str, session: Session, **fields: object) -> None:
        """Journal what became of a handshake or a session, by the device if its endpoint is one's."""
        endpoint = (session.identity or b"").decode("ascii", "replace")
        device = self._admission.device(endpoint)
        device_id = device.device_id if isinstance(device, Device) else None
        self._journal.write(kind, device=device_id, endpoint=beginning(endpoint), **fields)

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
