"""Devices and a listener on one line that loses datagrams: the objects of `wire`, and as little as moves them.

What is lost is decided for each device and each direction by a generator of its own: it hangs on how often they have
spoken, not on when. The time is real, for OpenSSL resends by a clock of its own.
"""

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from random import Random

from wire.coap import CoapPeer, Code, Failed, Message, Request, Response
from wire.dtls import Client, DtlsListener, End, Ended, Event, Opened, Received, Server, Session
from wire.dtls.listener import Address

LOSS = 0.2
ATTEMPT_S = 30.0
"""How long a device tries before it begins anew: as long as the listener waits for it."""


@dataclass(eq=False)
class LossyDevice:
    """A device that shakes hands and registers; with a wrong key it tries once."""

    name: str
    address: Address
    key: bytes
    knows_its_key: bool
    session: Session | None = None
    coap: CoapPeer | None = None
    since: float = 0.0
    attempts: int = 0
    ends: list[End] = field(default_factory=list)
    """How its sessions ended, as it has learnt it itself."""
    was_open: bool = False
    is_registered: bool = False
    lost: int = 0

    def __post_init__(self) -> None:
        self._up, self._down = Random(f"{self.name}/up"), Random(f"{self.name}/down")

    @property
    def is_done(self) -> bool:
        return self.is_registered if self.knows_its_key else bool(self.ends)

    def loses(self, *, up: bool) -> bool:
        is_lost = (self._up if up else self._down).random() < LOSS
        self.lost += is_lost
        return is_lost


class LossyLine:
    """The listener, its devices, and what is on its way between them."""

    def __init__(self, devices: Iterable[LossyDevice], keys: dict[bytes, bytes]) -> None:
        self.devices = {one.address: one for one in devices}
        self.ends: dict[str, list[End]] = {one.name: [] for one in devices}
        """How the listener has seen their sessions end."""
        self._client = Client()
        self._peers: dict[Session, CoapPeer] = {}
        self._on_the_way: deque[tuple[bytes, Address, bool]] = deque()
        server = Server(keys.get, b"cookie key")
        self._listener = DtlsListener(server, lambda datagram, peer: self._send(datagram, peer, up=False))

    def run(self, seconds: float) -> None:
        """Let them talk until everybody is done, or the time is over."""
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until and not all(one.is_done for one in self.devices.values()):
            for device in self.devices.values():
                if not device.is_done:
                    self._move(device, now)
            self._take_events(self._listener.wake(now))
            for peer in self._peers.values():
                peer.wake(now)
            self._deliver()
            time.sleep(0.02)

    def _move(self, device: LossyDevice, now: float) -> None:
        session = device.session
        if session is None or now - device.since > ATTEMPT_S:
            if session is not None and not device.knows_its_key:
                device.ends.append(End.TIMEOUT)
                return
            device.since, device.attempts, device.coap = now, device.attempts + 1, None
            device.session = self._client.connect(device.name.encode(), device.key)
        elif device.coap is not None:
            if any(isinstance(event, Failed) for event in device.coap.wake(now)):
                self._register(device, now)
        elif (due_in_s := session.resend_in_s()) is not None and due_in_s <= 0:
            session.resend()
        self._flush(device)

    def _flush(self, device: LossyDevice) -> None:
        assert device.session is not None
        for datagram in device.session.take():
            self._send(datagram, device.address, up=True)

    def _send(self, datagram: bytes, address: Address, *, up: bool) -> None:
        if not self.devices[address].loses(up=up):
            self._on_the_way.append((datagram, address, up))

    def _deliver(self) -> None:
        now = time.monotonic()
        while self._on_the_way:
            datagram, address, up = self._on_the_way.popleft()
            if up:
                self._take_events(self._listener.receive(datagram, address, now))
            else:
                self._hear(self.devices[address], datagram, now)

    def _hear(self, device: LossyDevice, datagram: bytes, now: float) -> None:
        session = device.session
        assert session is not None
        for said in session.receive(datagram):
            for event in device.coap.receive(said, now) if device.coap else ():
                device.is_registered |= isinstance(event, Response) and event.message.code is Code.CREATED
        device.was_open |= session.is_open
        if session.is_open and device.coap is None:
            self._register(device, now)
        if session.end is not None and not device.is_done:
            device.ends.append(session.end)
        self._flush(device)

    def _register(self, device: LossyDevice, now: float) -> None:
        assert device.session is not None
        device.coap = CoapPeer(device.session.send, device.attempts, lambda: 0.0)
        device.coap.request(Message(code=Code.POST, uri_path=("rd",)), now)

    def _take_events(self, events: list[Event]) -> None:
        now = time.monotonic()
        for event in events:
            match event:
                case Opened(peer, session):
                    self._peers[session] = CoapPeer(partial(self._listener.send, peer), 1, lambda: 0.0)
                case Received(_, session, data):
                    self._answer(self._peers[session], data, now)
                case Ended(peer, session):
                    self._peers.pop(session, None)
                    self.ends[self.devices[peer].name].append(session.end or End.FAILED)

    def _answer(self, peer: CoapPeer, data: bytes, now: float) -> None:
        for event in peer.receive(data, now):
            if isinstance(event, Request):
                peer.respond(event.message, Message(code=Code.CREATED), now)
