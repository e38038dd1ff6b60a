"""Many DTLS sessions behind one address of ours: which datagram belongs to which.

Five rules. A stranger is answered only if it sends a ClientHello, and nothing is remembered of it before its cookie is
back. A ClientHello from an address with a session starts another beside it, and the old one lives until the new one is
open (RFC 6347 §4.2.8): who rebooted comes in, and who has no key throws nobody out. The same ClientHello again is a
repetition, not another beginning. It alone brings the answer again: a client that begins anew would take one of before
for its own, for nothing but the Finished tells the two apart, and its right key for a wrong one. And no handshake is
waited for longer than half a minute.
"""

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from wire.dtls.openssl import Server
from wire.dtls.records import HEADER, ContentType, client_hello
from wire.dtls.session import End, Session
from wire.record import record

HALF_OPEN_S = 30.0
TICK_S = 0.1
MAX_HALF_OPEN = 4096
"""More clients than this at a time wait for their own resending: a half-open session takes 65 KB."""

Address = Hashable


@record
class Opened:
    peer: Address
    session: Session


@record
class Received:
    peer: Address
    session: Session
    data: bytes = field(repr=False)


@record
class Ended:
    """A session, open or on its way, is over; `end` of the session tells why."""

    peer: Address
    session: Session


Event = Opened | Received | Ended


@dataclass(slots=True)
class _HalfOpen:
    session: Session
    hello: bytes
    since: float
    is_asked_again: bool = False


class DtlsListener:
    """The sessions of one address; `send` takes each datagram and whom it is for. Times are seconds of any clock."""

    def __init__(self, server: Server, send: Callable[[bytes, Address], None]) -> None:
        self._server = server
        self._send = send
        self._open: dict[Address, Session] = {}
        self._half_open: dict[Address, _HalfOpen] = {}

    def __len__(self) -> int:
        return len(self._open)

    @property
    def half_open(self) -> int:
        return len(self._half_open)

    @property
    def wakes_in_s(self) -> float:
        """When `wake` is due next."""
        return TICK_S if self._half_open else math.inf

    def session(self, peer: Address) -> Session | None:
        return self._open.get(peer)

    def receive(self, datagram: bytes, peer: Address, now: float) -> list[Event]:
        hello, half_open = client_hello(datagram), self._half_open.get(peer)
        if hello is not None and (half_open is None or half_open.hello != hello):
            self._begin(datagram, hello, peer, now)
            return []
        if half_open is not None and _belongs_to_handshake(datagram):
            return self._go_on(half_open, datagram, peer, is_repeated=hello is not None)
        session = self._open.get(peer)
        return [] if session is None else self._read(session, datagram, peer)

    def send(self, peer: Address, data: bytes) -> None:
        """Send to the open session of a peer, if there is one."""
        session = self._open.get(peer)
        if session is not None:
            session.send(data)
            self._flush(session, peer)

    def close(self, peer: Address) -> None:
        """End the open session of a peer, with a word to it."""
        session = self._open.pop(peer, None)
        if session is not None:
            session.close()
            self._flush(session, peer)

    def wake(self, now: float) -> list[Event]:
        """Answer those who have asked again, when OpenSSL would, and give up handshakes that nobody goes on with."""
        events: list[Event] = []
        for peer, half_open in list(self._half_open.items()):
            session = half_open.session
            if now - half_open.since >= HALF_OPEN_S:
                session.end = End.TIMEOUT
                del self._half_open[peer]
                events.append(Ended(peer, session))
            elif half_open.is_asked_again and (session.resend_in_s() or 0.0) <= 0.0:
                half_open.is_asked_again = False
                session.resend()
                self._flush(session, peer)
        return events

    def _begin(self, datagram: bytes, hello: bytes, peer: Address, now: float) -> None:
        if len(self._half_open) >= MAX_HALF_OPEN and peer not in self._half_open:
            return
        session, answers = self._server.answer_hello(datagram, peer)
        for answer in answers:
            self._send(answer, peer)
        if session is not None:
            self._half_open[peer] = _HalfOpen(session, hello, now)

    def _go_on(self, half_open: _HalfOpen, datagram: bytes, peer: Address, *, is_repeated: bool) -> list[Event]:
        session = half_open.session
        said = session.receive(datagram)
        is_answered = self._flush(session, peer)
        half_open.is_asked_again = is_repeated and not is_answered  # OpenSSL thinks it too early
        if session.is_open:
            del self._half_open[peer]
            return [*self._replace(session, peer), *(Received(peer, session, one) for one in said)]
        if session.end is not None:
            del self._half_open[peer]
            return [Ended(peer, session)]
        return []

    def _replace(self, session: Session, peer: Address) -> list[Event]:
        old, self._open[peer] = self._open.get(peer), session
        if old is None:
            return [Opened(peer, session)]
        old.end = End.REPLACED
        return [Ended(peer, old), Opened(peer, session)]

    def _read(self, session: Session, datagram: bytes, peer: Address) -> list[Event]:
        events: list[Event] = [Received(peer, session, one) for one in session.receive(datagram)]
        self._flush(session, peer)
        if session.end is not None:
            del self._open[peer]
            events.append(Ended(peer, session))
        return events

    def _flush(self, session: Session, peer: Address) -> bool:
        """Send what a session has to say; tell whether it was anything."""
        datagrams = session.take()
        for datagram in datagrams:
            self._send(datagram, peer)
        return bool(datagrams)


def _belongs_to_handshake(datagram: bytes) -> bool:
    """Tell what a handshake may be waiting for from what only an open session can read."""
    return len(datagram) > HEADER and (datagram[3:5] == b"\0\0" or datagram[0] == ContentType.HANDSHAKE)
