"""What the platform and an NB-IoT device say to each other: register, observe, report, update, deregister.

Object 19 carries the application's data: 19/0/0 is observed and brings what the device reports
(support.huaweicloud.com, api-iothub/iot_06_v5_1326 and _1327).
"""

from collections.abc import Callable

from aiocoap import Code, ContentFormat, Message

from broker.access.payloads import parsed
from broker.auth.registry import Device
from broker.clock import Clock
from broker.journal import Journal, beginning, plain_integer
from broker.lwm2m.admission import Admission
from broker.lwm2m.peers import Peer, Writer
from broker.lwm2m.registrations import (
    DEFAULT_LIFETIME_S,
    Departure,
    Reason,
    Registration,
    Registrations,
    Wish,
    read_wish,
)
from broker.presence import Presence
from broker.statistics import Statistics
from wire.coap import Event, Failed, Failure, Request, Response

REPORTS = ("19", "0", "0")
OBSERVED = Message(code=Code.GET, uri_path=REPORTS, observe=0, accept=ContentFormat.OCTETSTREAM).opt
"""The options of what every device is asked, made once: nobody changes them."""

CODES = {Reason.BAD_REQUEST: Code.BAD_REQUEST, Reason.UNSUPPORTED_VERSION: Code.PRECONDITION_FAILED}


class Conversations:
    """Serves peers; where they are, and how bytes reach them, is the listener's."""

    def __init__(
        self,
        admission: Admission,
        registrations: Registrations[Peer],
        presence: Presence,
        journal: Journal,
        statistics: Statistics,
        clock: Clock,
        new_location: Callable[[], str],
    ) -> None:
        self._admission = admission
        self._registrations = registrations
        self._presence = presence
        self._journal = journal
        self._statistics = statistics
        self._clock = clock
        self._new_location = new_location
        self.writer: Writer | None = None
        registrations.ended = self._ended

    def take(self, peer: Peer, datagram: bytes) -> None:
        """Serve what a peer says; nothing in it raises."""
        now = self._clock.now()
        for event in peer.coap.receive(datagram, now):
            self._handle(peer, event, now)

    def wake(self, peer: Peer) -> None:
        """Serve the time: what a peer has not acknowledged is sent again, or given up."""
        now = self._clock.now()
        for event in peer.coap.wake(now):
            self._handle(peer, event, now)

    def sweep(self) -> None:
        self._registrations.sweep(self._clock.now())

    def _handle(self, peer: Peer, event: Event, now: float) -> None:
        match event:
            case Request(message):
                peer.coap.respond(message, self._answer(peer, message, now), now)
                self._observe(peer, now)
                self._shows_itself(peer, now)
            case Response(token, message) if token == peer.observing:
                self._reported(peer, message, now)
            case Response(token, message) if self.writer is not None:
                self.writer.acknowledged(peer, token, message, now)
            case Failed(token, failure) if peer.registration is not None:
                self._given_up(peer, peer.registration, token, failure, now)

    # -- what devices ask for

    def _answer(self, peer: Peer, message: Message, now: float) -> Message:
        match message.opt.uri_path:
            case ("rd",):
                return self._register(peer, message, now) if message.code is Code.POST else _refusal_of_method()
            case ("rd", location):
                return self._on_location(peer, message, location, now)
        return Message(code=Code.NOT_FOUND)

    def _register(self, peer: Peer, message: Message, now: float) -> Message:
        wish = read_wish(message.opt.uri_query, is_update=False)
        if isinstance(wish, Reason):
            return self._refuse(peer, None, wish)
        assert wish.endpoint is not None, "a registration names its endpoint"
        device = self._admission.judge(wish.endpoint, peer.identity)
        if isinstance(device, Reason):
            return self._refuse(peer, wish.endpoint, device)
        registration = self._new_registration(peer, device, wish, now)
        self._registrations.add(registration, now)
        self._presence.entered(device.device_id, self._clock.utc())
        self._bind(peer, registration)
        self._statistics.accepted += 1
        self._journal.write(
            "registered",
            device=device.device_id,
            location=registration.location,
            lifetime_s=registration.lifetime_s,
            queue_mode=registration.queue_mode,
            secure=peer.identity is not None,
            version=peer.version,
            peer=peer.name,
        )
        return Message(code=Code.CREATED, location_path=("rd", registration.location))

    def _new_registration(self, peer: Peer, device: Device, wish: Wish, now: float) -> Registration[Peer]:
        lifetime_s = wish.lifetime_s or DEFAULT_LIFETIME_S
        return Registration(
            device_id=device.device_id,
            location=self._new_location(),
            peer=peer,
            version=peer.version,
            lifetime_s=lifetime_s,
            queue_mode=bool(wish.queue_mode),
            expires_at=now + lifetime_s,
        )

    def _on_location(self, peer: Peer, message: Message, location: str, now: float) -> Message:
        registration = self._registrations.at(location)
        if registration is None:
            return Message(code=Code.NOT_FOUND)
        was_secure = registration.version is not None
        device = self._admission.judge_again(registration.device_id, peer.identity, was_secure=was_secure)
        if isinstance(device, Reason):
            return self._refuse(peer, registration.device_id, device)
        if message.code is Code.POST:
            return self._update(peer, registration, message, now)
        if message.code is Code.DELETE:
            self._registrations.end(registration.device_id, Departure.DEREGISTERED)
            return Message(code=Code.DELETED)
        return _refusal_of_method()

    def _update(self, peer: Peer, registration: Registration[Peer], message: Message, now: float) -> Message:
        wish = read_wish(message.opt.uri_query, is_update=True)
        if isinstance(wish, Reason):
            return self._refuse(peer, registration.device_id, wish)
        registration.lifetime_s = wish.lifetime_s or registration.lifetime_s
        if wish.queue_mode is not None:
            registration.queue_mode = wish.queue_mode
        registration.expires_at = now + registration.lifetime_s
        registration.version = peer.version
        if registration.peer is not peer:
            self._bind(peer, registration)
        self._registrations.heard(registration.device_id, now)
        self._journal.write("registration_updated", device=registration.device_id, peer=peer.name, version=peer.version)
        return Message(code=Code.CHANGED)

    def _refuse(self, peer: Peer, device: str | None, reason: Reason) -> Message:
        code = CODES.get(reason, Code.FORBIDDEN)
        self._statistics.refused[reason.value] += 1
        self._journal.write(
            "refused",
            device=device and beginning(device),
            code=code.dotted,
            reason=reason,
            peer=peer.name,
            secure=peer.identity is not None,
        )
        return Message(code=code)

    # -- what devices report

    def _bind(self, peer: Peer, registration: Registration[Peer]) -> None:
        """A device is to be found at this peer from now on; what it was asked to report elsewhere, it has forgotten.

        A peer is one device: who was registered there before is there no longer.
        """
        if peer.registration not in (None, registration):
            self._registrations.end(peer.registration.device_id, Departure.REPLACED)
        self._leave(registration)
        registration.peer = peer
        peer.registration = registration

    def _observe(self, peer: Peer, now: float) -> None:
        """Ask a device that is new at this peer for its reports, once it has its answer."""
        registration = peer.registration
        if registration is not None and not peer.observing and self._registrations.of(registration.device_id):
            wanted = Message(code=Code.GET)
            wanted.opt = OBSERVED
            peer.observing = peer.coap.request(wanted, now)

    def _reported(self, peer: Peer, message: Message, now: float) -> None:
        registration = peer.registration
        if registration is None:
            return
        self._registrations.heard(registration.device_id, now)
        if message.code.is_successful() and message.payload:
            self._take_report(peer, registration.device_id, message.payload)
        self._shows_itself(peer, now)

    def _take_report(self, peer: Peer, device_id: str, payload: bytes) -> None:
        self._statistics.uplinks += 1
        report = parsed(payload)
        seq = plain_integer(report.get("seq")) if isinstance(report, dict) else None
        if seq is not None:
            self._journal.uplink(device_id, 1, seq)
        if self.writer is not None:
            self.writer.reported(peer, report)

    # -- what devices sleep through

    def _shows_itself(self, peer: Peer, now: float) -> None:
        """A device is awake: what it may have slept through goes once more, and what waits for it may go."""
        peer.deaf = False
        peer.coap.hurry(now)
        if self.writer is not None and peer.registration is not None:
            self.writer.go_on(peer.registration.device_id, now)

    def _given_up(
        self, peer: Peer, registration: Registration[Peer], token: bytes, failure: Failure, now: float
    ) -> None:
        """A device has not answered. In queue mode it sleeps, whatever we believed, and wants it when it wakes up."""
        if token == peer.observing:
            self._journal.write("unobserved", device=registration.device_id, peer=peer.name)
            if failure is Failure.RESET:
                return
            peer.observing = b""
        if registration.queue_mode:
            self._take_back(registration.device_id, peer, now)
        else:
            peer.written.pop(token, None)

    def lost(self, peer: Peer) -> None:
        """The session under a peer is over; its device is still registered, and may come back in another one."""
        if peer.registration is not None:
            now = self._clock.now()
            peer.coap.cancel((peer.observing,), now)
            self._take_back(peer.registration.device_id, peer, now)

    def _take_back(self, device_id: str, peer: Peer, now: float) -> None:
        """Nothing reaches a peer: commands whose write it has not acknowledged wait in their queue until it does."""
        peer.deaf = True
        if self.writer is not None:
            self.writer.take_back(device_id, peer)
        peer.coap.cancel(peer.written, now)
        peer.written.clear()

    def _leave(self, registration: Registration[Peer]) -> None:
        """A device is no longer to be found where it was registered."""
        if self.writer is not None:
            self.writer.take_back(registration.device_id, registration.peer)
        registration.peer.leave(self._clock.now())

    def _ended(self, registration: Registration[Peer], departure: Departure) -> None:
        self._leave(registration)
        self._presence.left(registration.device_id, self._clock.utc())
        self._journal.write(
            "unregistered", device=registration.device_id, reason=departure, peer=registration.peer.name
        )


def _refusal_of_method() -> Message:
    return Message(code=Code.METHOD_NOT_ALLOWED)
