"""The UDP socket of one device, with or without DTLS on it: datagrams of CoAP go in and out."""

import asyncio
import os
import socket
from typing import Protocol

from simulator.links.link import Endpoint
from simulator.links.lwm2m.power import Power
from wire.dtls import Session

MAX_DATAGRAM = 65_535


class Receiver(Protocol):
    """Whom a line tells."""

    def opened(self) -> None:
        """The handshake is over: datagrams may be sent."""

    def received(self, datagram: bytes) -> None: ...

    def failed(self, reason: str) -> None:
        """The network says that nobody is there."""

    def ended(self, session: Session) -> None:
        """The session, or the handshake, is over."""


class Line:
    """Owns its socket; when `close` returns the descriptor is gone. OSError when there is none to be had.

    While the device sleeps nothing is heard: what arrives is lost.
    """

    __slots__ = ("_loop", "_power", "_receiver", "_session", "_sock")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        endpoint: Endpoint,
        receiver: Receiver,
        session: Session | None,
        power: Power,
    ) -> None:
        self._loop = loop
        self._receiver = receiver
        self._session = session
        self._power = power
        family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
        self._sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            self._sock.connect((endpoint.host, endpoint.port))
        except OSError:
            self._sock.close()
            raise
        loop.add_reader(self._sock, self._readable)

    @property
    def is_closed(self) -> bool:
        return self._sock.fileno() == -1

    @property
    def resend_in_s(self) -> float | None:
        """How long until the handshake's last flight is to be sent again; None if there is none under way."""
        return self._session.resend_in_s() if self._session is not None else None

    def resend(self) -> None:
        if self._session is not None:
            self._session.resend()
            self._flush(self._session)

    def start(self) -> None:
        """Begin the handshake, if there is to be one."""
        if self._session is None:
            self._receiver.opened()
        else:
            self._flush(self._session)

    def send(self, datagram: bytes) -> None:
        """Send a datagram of CoAP; without effect on a line that is closed."""
        if self._session is None:
            self._put(datagram)
        else:
            self._session.send(datagram)
            self._flush(self._session)

    def close(self) -> None:
        """Say goodbye in a session that is open, and let go of the socket."""
        if self.is_closed:
            return
        if self._session is not None and not self._power.is_asleep:
            self._session.close()
            self._flush(self._session)
        self.drop()

    def drop(self) -> None:
        """Let go of the socket without a word, as who loses the network does."""
        if not self.is_closed:
            self._loop.remove_reader(self._sock)
            self._sock.close()

    def _flush(self, session: Session) -> None:
        for datagram in session.take():
            self._put(datagram)

    def _put(self, datagram: bytes) -> None:
        if self.is_closed:
            return
        try:
            self._sock.send(datagram)
        except (BlockingIOError, InterruptedError):
            pass  # a full buffer loses datagrams, as networks do
        except OSError as error:
            self._receiver.failed(os.strerror(error.errno or 0))

    def _readable(self) -> None:
        try:
            datagram = self._sock.recv(MAX_DATAGRAM)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._receiver.failed(os.strerror(error.errno or 0))
            return
        if not self._power.is_asleep:
            self._take(datagram)

    def _take(self, datagram: bytes) -> None:
        session = self._session
        if session is None:
            self._receiver.received(datagram)
            return
        was_open = session.is_open
        said = session.receive(datagram)
        self._flush(session)
        if session.is_open and not was_open:
            self._receiver.opened()
        for one in said:
            self._receiver.received(one)
        if session.end is not None:
            self._receiver.ended(session)
