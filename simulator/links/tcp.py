"""A link over TCP: it dials, and keeps the rules of `simulator.links.link` whichever MQTT client talks on it."""

import asyncio
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import Enum, auto
from typing import Protocol

from simulator.credentials import MqttCredentials
from simulator.device.events import Accepted, LinkEvent, LinkLost, Unreachable
from simulator.links.answers import MQTT_5, outcome
from simulator.links.dialler import Dial, Dialler
from simulator.links.greeting import connect_packet
from simulator.links.link import Endpoint, LinkOptions, LinkOwner
from simulator.links.outbox import Message, Outbox
from simulator.links.tls import Handshake, TlsSocket
from simulator.scheduler import Scheduler, Timer, cancel
from wire.mqtt import ConnAck, Connect, Packet, ProtocolError, ReasonCode

QOS_2_UNASKED = "a QoS 2 message, and nothing was subscribed above QoS 1"
FAILURE = 0x80  # a reason code of MQTT 5.0 from here on is none of success
LINGER_S = 1.0  # a closed link's last bytes have this long: a peer that reads nothing does not keep the descriptor


class Phase(Enum):
    CONNECTING = auto()
    OPEN = auto()
    ENDED = auto()


class Client(Protocol):
    """An MQTT client on one connected socket: it says CONNECT by itself, and tells its link all that comes of it.

    However it ends, it calls `TcpLink.gone` in the turn of the loop in which its descriptor is closed.
    """

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish with QoS 0."""

    def send(self, message: Message, *, dup: bool) -> None:
        """Publish with QoS 1, under the message's own packet id."""

    def subscribe(self, packet_id: int, topic_filter: str, qos: int) -> None: ...

    def say_goodbye(self, code: int) -> None:
        """Send DISCONNECT, with this reason in MQTT 5, and end when all is written."""

    def hang_up(self) -> None:
        """End at once, whatever is not written yet; without effect on what has ended."""


def check_order(packet: type[Packet], *, answered: bool) -> None:
    """Raise ProtocolError unless CONNACK comes first, and once."""
    if (packet is ConnAck) is answered:
        raise ProtocolError("a second CONNACK" if packet is ConnAck else f"{packet.__name__} before CONNACK")


class TcpEngine(ABC):
    """Opens links to one endpoint for a fleet; which client talks on them is for the engines derived from it."""

    def __init__(self, scheduler: Scheduler, endpoint: Endpoint, options: LinkOptions) -> None:
        self.loop = asyncio.get_running_loop()
        self.scheduler = scheduler
        self.options = options
        self.endpoint = endpoint
        self.dialler = Dialler(self.loop, endpoint)
        self.open_links = 0

    def open(self, owner: LinkOwner, attempt: int, credentials: MqttCredentials, outbox: Outbox) -> "TcpLink":
        return TcpLink(self, owner, attempt, credentials, outbox)

    @abstractmethod
    def client(self, link: "TcpLink", sock: socket.socket | TlsSocket) -> Client:
        """Begin to talk on a connected socket."""


class TcpLink:
    """One attempt over TCP."""

    __slots__ = (
        "_attempt",
        "_client",
        "_credentials",
        "_dial",
        "_engine",
        "_handshake",
        "_outbox",
        "_owner",
        "_phase",
        "_silent",
        "_terminal",
        "_timer",
    )

    def __init__(
        self, engine: TcpEngine, owner: LinkOwner, attempt: int, credentials: MqttCredentials, outbox: Outbox
    ) -> None:
        self._engine = engine
        self._owner = owner
        self._attempt = attempt
        self._credentials: MqttCredentials | None = credentials
        self._outbox = outbox
        self._client: Client | None = None
        self._handshake: Handshake | None = None
        self._phase = Phase.CONNECTING
        self._terminal: LinkEvent | None = None
        self._silent = False
        engine.open_links += 1
        self._dial: Dial | None = engine.dialler.dial(self._dialled, self._dial_failed)
        self._timer = self._after(engine.options.connect_timeout_s, self._connect_timed_out)

    # -- what the device asks for

    def publish(self, topic: str, payload: bytes) -> None:
        if client := self._talking():
            client.publish(topic, payload)

    def send_due(self) -> None:
        if self._talking():
            self._send(self._outbox.due())

    def subscribe(self, topic_filter: str, qos: int) -> None:
        if client := self._talking():
            client.subscribe(self._outbox.next_packet_id(), topic_filter, qos)

    def close(self) -> None:
        self._silent = True
        self._part("closed", ReasonCode.SUCCESS)

    def cut(self, reason: str) -> None:
        self.fail(reason)

    # -- what the client tells

    def greeting(self) -> Connect:
        """The CONNECT of this attempt, once: the credentials are not kept."""
        assert self._credentials is not None, "a link connects once"
        credentials, self._credentials = self._credentials, None
        return connect_packet(credentials, self._engine.options)

    @property
    def has_ended(self) -> bool:
        """Whether what still comes is for nobody."""
        return self._phase is Phase.ENDED

    def check(self, packet: type[Packet]) -> None:
        """Raise ProtocolError unless a packet of this kind may come now."""
        check_order(packet, answered=self._phase is Phase.OPEN)

    def answered(self, answer: ConnAck) -> None:
        event = outcome(self._attempt, answer, self._engine.options.level)
        if not isinstance(event, Accepted):
            self._end(event)
            return
        self._phase = Phase.OPEN
        cancel(self._timer)
        self._outbox.obey(answer.properties)
        self._send(self._outbox.resume(session_present=answer.session_present), dup=True)
        self._owner.link_event(event)
        self.send_due()

    def acknowledged(self, packet_id: int, code: int) -> None:
        if message := self._outbox.acknowledge(packet_id):
            if code < FAILURE:
                self._owner.message_acknowledged(message)
            self.send_due()

    def arrived(self, topic: str, payload: bytes) -> None:
        self._owner.message_arrived(topic, payload)

    def violated(self, error: ProtocolError) -> None:
        """The platform broke the protocol; MQTT 5 has it told so (§4.13.2)."""
        reason = f"protocol error: {error}"
        if self._engine.options.level == MQTT_5:
            self._part(reason, error.code)
        else:
            self.fail(reason)

    def fail(self, reason: str) -> None:
        """End the connection, because of what came over it or because nothing did."""
        self._end(self._lost(reason))

    def gone(self, reason: str) -> None:
        """The connection is over, for this reason unless another is known; its descriptor goes in this turn."""
        if self._client is None:
            return
        self._client = None
        if self._phase is not Phase.ENDED:
            self._phase, self._terminal = Phase.ENDED, self._lost(reason)
        self._engine.loop.call_soon(self._finish)

    # -- dialling

    def _dialled(self, sock: socket.socket) -> None:
        self._dial = None
        engine, tls = self._engine, self._engine.options.tls
        if tls is None:
            self._client = engine.client(self, sock)
        else:
            name = engine.endpoint.name or engine.endpoint.host
            self._handshake = Handshake(engine.loop, sock, tls, name, self._shaken, self._handshake_failed)

    def _shaken(self, sock: TlsSocket) -> None:
        self._handshake = None
        self._client = self._engine.client(self, sock)

    def _handshake_failed(self, reason: str) -> None:
        self._handshake = None
        self.fail(reason)

    def _dial_failed(self, reason: str) -> None:
        self._dial = None
        self.fail(reason)

    def _after(self, seconds: float, callback: Callable[[], None]) -> Timer:
        return self._engine.scheduler.at(self._engine.scheduler.now() + seconds, callback)

    def _connect_timed_out(self) -> None:
        if self._phase is Phase.CONNECTING:
            self.fail("no answer in time")

    # -- messages

    def _talking(self) -> Client | None:
        """The client of an open link."""
        return self._client if self._phase is Phase.OPEN else None

    def _send(self, messages: list[Message], *, dup: bool = False) -> None:
        client = self._talking()
        if client is None or not messages:
            return
        for message in messages:
            client.send(message, dup=dup)
        self._owner.messages_sent(messages)

    # -- the end

    def _lost(self, reason: str) -> LinkEvent:
        if self._phase is Phase.OPEN:
            return LinkLost(self._attempt, reason)
        return Unreachable(self._attempt, reason)

    def _part(self, reason: str, code: int) -> None:
        """End with a DISCONNECT, if there is somebody to hear it."""
        if client := self._talking():
            self._phase, self._terminal = Phase.ENDED, LinkLost(self._attempt, reason)
            client.say_goodbye(code)
            self._timer = self._after(LINGER_S, client.hang_up)
        else:
            self.fail(reason)

    def _end(self, terminal: LinkEvent) -> None:
        if self._phase is Phase.ENDED:
            return
        self._phase, self._terminal = Phase.ENDED, terminal
        if self._client is not None:
            self._client.hang_up()
            return
        if self._dial is not None:
            self._engine.dialler.give_up(self._dial)
            self._dial = None
        if self._handshake is not None:
            self._handshake.give_up()
            self._handshake = None
        self._engine.loop.call_soon(self._finish)

    def _finish(self) -> None:
        """Tell the owner how it ended, unless it asked for silence."""
        assert self._terminal is not None, "a link that ends has a terminal event"
        cancel(self._timer)
        self._engine.open_links -= 1
        if not self._silent:
            self._owner.link_event(self._terminal)
