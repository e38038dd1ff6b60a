"""A client and a listener that talk through a list instead of a network."""

from collections.abc import Callable
from dataclasses import dataclass, field

from wire.dtls import Client, DtlsListener, Ended, Event, Opened, Server, Session
from wire.dtls.listener import Address

IDENTITY, KEY, OTHER_KEY = b"868333030000001", bytes(range(16)), bytes(range(1, 17))
HERE = ("127.0.0.1", 40_001)

Filter = Callable[[bytes], bool]


@dataclass
class Wire:
    """A listener with its keys, and what it has sent to whom; `passes` decides over every datagram, either way."""

    keys: dict[bytes, bytes] = field(default_factory=lambda: {IDENTITY: KEY})
    passes: Filter = lambda _: True
    now: float = 0.0

    def __post_init__(self) -> None:
        self.client = Client()
        self.sent: list[tuple[bytes, Address]] = []
        self.events: list[Event] = []
        server = Server(lambda identity: self.keys.get(identity), b"cookie key")
        self.listener = DtlsListener(server, lambda datagram, peer: self.sent.append((datagram, peer)))

    def connect(self, key: bytes = KEY, peer: Address = HERE, identity: bytes = IDENTITY) -> Session:
        """Shake hands as far as it goes."""
        session = self.client.connect(identity, key)
        self.carry(session, peer)
        return session

    def carry(self, session: Session, peer: Address = HERE) -> list[bytes]:
        """Carry datagrams to and fro until nobody has any; return what the client was told."""
        told: list[bytes] = []
        while datagrams := session.take():
            for datagram in datagrams:
                self.take_in(datagram, peer)
            told += self.hand_over(session, peer)
        return told

    def take_in(self, datagram: bytes, peer: Address = HERE) -> None:
        if self.passes(datagram):
            self.events += self.listener.receive(datagram, peer, self.now)

    def hand_over(self, session: Session, peer: Address = HERE) -> list[bytes]:
        """Give the client what the listener has sent to it."""
        mine = [datagram for datagram, whom in self.sent if whom == peer]
        self.sent = [(datagram, whom) for datagram, whom in self.sent if whom != peer]
        return [said for datagram in mine if self.passes(datagram) for said in session.receive(datagram)]

    def opened(self) -> list[Session]:
        return [event.session for event in self.events if isinstance(event, Opened)]

    def ended(self) -> list[str]:
        return [event.session.end or "" for event in self.events if isinstance(event, Ended)]
