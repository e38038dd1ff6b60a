"""The LwM2M client of one device: registers, lets itself be observed, reports, takes writes. Pure.

Datagrams and a time go in, news comes out. Object 19 of the vendor carries the application's data: 19/0/0 up, observed
by the platform, and 19/1/0 down (support.huaweicloud.com, api-iothub/iot_06_v5_1326 to _1328).
"""

from collections.abc import Callable
from dataclasses import field
from enum import Enum, auto

from aiocoap import ContentFormat

from simulator.dialects.lwm2m import DOWNLINK, UPLINK
from simulator.links.lwm2m.options import Lwm2mOptions
from wire.coap import Acknowledged, CoapPeer, Code, Failed, Failure, Message, Rejected, Request, Response
from wire.coap import Event as CoapEvent
from wire.coap.peer import MAX_TRANSMIT_WAIT_S
from wire.record import record

UPLINK_PATH, DOWNLINK_PATH, UPDATE_TRIGGER = tuple(UPLINK.split("/")), tuple(DOWNLINK.split("/")), ("1", "0", "8")
OBJECTS = b'</>;rt="oma.lwm2m",</1/0>,</3/0>,</19/0>,</19/1>'
OCTETS = ContentFormat.OCTETSTREAM
OBSERVE, NO_LONGER = 0, 1
OBSERVE_NUMBERS = 1 << 24
VERSION = "1.0"


class Matter(Enum):
    """What a device asks the platform for."""

    REGISTRATION = auto()
    UPDATE = auto()
    DEREGISTRATION = auto()


@record
class Answered:
    """The platform has answered."""

    matter: Matter
    code: Code


@record
class Unanswered:
    """The platform does not answer, or does not acknowledge a report."""

    reason: str


@record
class Observed:
    """The platform wants reports from now on."""


@record
class Unobserved:
    """The platform wants no more reports."""


@record
class Taken:
    """The platform has acknowledged a report."""


@record
class Written:
    """The platform has sent something down."""

    payload: bytes = field(repr=False)


News = Answered | Unanswered | Observed | Unobserved | Taken | Written


class Lwm2mClient:
    """One registration, from the first request to the last. `send` takes datagrams; times are of any one clock.

    It has one confirmable report under way at most: the owner waits for `Taken` or `Unobserved` before the next.
    """

    __slots__ = ("_asked", "_coap", "_endpoint", "_location", "_number", "_observer", "_options")

    def __init__(
        self, send: Callable[[bytes], None], endpoint: str, options: Lwm2mOptions, jitter: Callable[[], float]
    ) -> None:
        self._coap = CoapPeer(send, int(jitter() * 0x1_0000), jitter)
        self._endpoint = endpoint
        self._options = options
        self._location: tuple[str, ...] = ()
        self._observer: bytes | None = None
        self._number = 0
        self._asked: tuple[bytes, Matter] | None = None

    @property
    def wake_at(self) -> float:
        return self._coap.wake_at

    @property
    def refresh_after_s(self) -> float:
        """When a registration is to be refreshed: early enough for every resending, if its lifetime is long enough."""
        lifetime_s = self._options.lifetime_s
        return max(lifetime_s - MAX_TRANSMIT_WAIT_S, lifetime_s / 2)

    @property
    def is_observed(self) -> bool:
        return self._observer is not None

    def register(self, now: float) -> None:
        options = self._options
        query = f"ep={self._endpoint}", f"lt={options.lifetime_s}", f"lwm2m={VERSION}", f"b={options.binding}"
        message = Message(
            code=Code.POST, uri_path=("rd",), uri_query=query, content_format=ContentFormat.LINKFORMAT, payload=OBJECTS
        )
        self._ask(Matter.REGISTRATION, message, now)

    def update(self, now: float) -> None:
        """Refresh the registration (OMA LwM2M 1.0 §5.3.2); one that is under way is enough."""
        if self._asked is None:
            self._ask(Matter.UPDATE, Message(code=Code.POST, uri_path=self._location), now)

    def deregister(self, now: float) -> None:
        if self._asked is not None:
            self._coap.cancel(self._asked[:1], now)  # an update under way would hold it up (NSTART = 1)
        self._ask(Matter.DEREGISTRATION, Message(code=Code.DELETE, uri_path=self._location), now)

    def report(self, payload: bytes, now: float, *, confirmable: bool) -> None:
        """Notify the observer; without one nothing is sent."""
        if self._observer is None:
            return
        self._number = (self._number + 1) % OBSERVE_NUMBERS
        message = Message(code=Code.CONTENT, observe=self._number, content_format=OCTETS, payload=payload)
        self._coap.notify(self._observer, message, now, confirmable=confirmable)

    def receive(self, datagram: bytes, now: float) -> list[News]:
        """Take a datagram in; nothing in it raises."""
        return self._told(self._coap.receive(datagram, now), now)

    def wake(self, now: float) -> list[News]:
        """Send again what is due, give up what was sent often enough."""
        return self._told(self._coap.wake(now), now)

    def _ask(self, matter: Matter, message: Message, now: float) -> None:
        self._asked = self._coap.request(message, now), matter

    def _told(self, events: list[CoapEvent], now: float) -> list[News]:
        news = []
        for event in events:
            match event:
                case Request(message):
                    found = self._serve(message, now)
                case Response(token, message):
                    found = self._answered(token, message)
                case Failed(token, failure):
                    found = self._failed(token, failure)
                case Acknowledged(token):
                    found = Taken() if token == self._observer else None
                case Rejected(token, failure):
                    found = self._rejected(token, failure)
            if found is not None:
                news.append(found)
        return news

    # -- what becomes of our requests and reports

    def _answered(self, token: bytes, message: Message) -> News | None:
        if self._asked is None or self._asked[0] != token:
            return None
        matter, self._asked = self._asked[1], None
        if matter is Matter.REGISTRATION and message.code.is_successful():
            self._location = tuple(message.opt.location_path)
        return Answered(matter, message.code)

    def _failed(self, token: bytes, failure: Failure) -> News | None:
        if self._asked is None or self._asked[0] != token:
            return None
        self._asked = None
        return Unanswered("no answer in time" if failure is Failure.TIMEOUT else "rejected by the platform")

    def _rejected(self, token: bytes, failure: Failure) -> News | None:
        if failure is Failure.TIMEOUT:
            return Unanswered("a report was not acknowledged")
        if token != self._observer:
            return None
        self._observer = None
        return Unobserved()

    # -- what the platform asks for

    def _serve(self, message: Message, now: float) -> News | None:
        answer, news = self._answer(message)
        self._coap.respond(message, answer, now)
        if message.opt.uri_path == UPDATE_TRIGGER and answer.code is Code.CHANGED:
            self.update(now)
        return news

    def _answer(self, message: Message) -> tuple[Message, News | None]:
        match message.opt.uri_path, message.code:
            case path, Code.GET if path == UPLINK_PATH:
                return self._observe(message)
            case path, Code.PUT if path == DOWNLINK_PATH:
                return Message(code=Code.CHANGED), Written(message.payload)
            case path, Code.POST if path == UPDATE_TRIGGER:
                return Message(code=Code.CHANGED), None
            case path, _ if path in (UPLINK_PATH, DOWNLINK_PATH, UPDATE_TRIGGER):
                return Message(code=Code.METHOD_NOT_ALLOWED), None
        return Message(code=Code.NOT_FOUND), None

    def _observe(self, message: Message) -> tuple[Message, News | None]:
        """Answer a read, which may begin an observation or end it (RFC 7641 §3.1, §3.6)."""
        content = Message(code=Code.CONTENT, content_format=OCTETS)
        if message.opt.observe == OBSERVE:
            content.opt.observe = self._number
            if message.token == self._observer:
                return content, None  # the same observer once more (RFC 7641 §3.1)
            self._observer = message.token
            return content, Observed()
        if message.opt.observe == NO_LONGER and message.token == self._observer:
            self._observer = None
            return content, Unobserved()
        return content, None
