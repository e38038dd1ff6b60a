"""MQTT on `wire.mqtt` and asyncio.Protocol: one file descriptor and no task for a connected device."""

import asyncio
import os
import socket
from enum import Enum, auto
from typing import cast

from simulator.credentials import MqttCredentials
from simulator.device.events import Accepted, LinkEvent, LinkLost, Unreachable
from simulator.links.adoption import adopt
from simulator.links.answers import outcome
from simulator.links.dialler import Dial, Dialler
from simulator.links.greeting import connect_packet
from simulator.links.keepalive import Keepalive
from simulator.links.link import Endpoint, LinkOptions, LinkOwner
from simulator.links.outbox import IN_FLIGHT_WINDOW, Message, Outbox, as_publish
from simulator.scheduler import Scheduler
from wire.mqtt import (
    FROM_SERVER,
    ConnAck,
    Decoder,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    ProtocolError,
    PubAck,
    Publish,
    ReasonCode,
    Subscribe,
)

FAILURE = 0x80  # a reason code of MQTT 5.0 from here on is none of success
LINGER_S = 1.0  # a closed link's last bytes have this long: a peer that reads nothing does not keep the descriptor


class Phase(Enum):
    DIALLING = auto()
    CONNECTING = auto()
    OPEN = auto()
    ENDED = auto()


class NativeEngine:
    """Opens native links to one endpoint for a fleet."""

    def __init__(
        self, tasks: asyncio.TaskGroup, scheduler: Scheduler, endpoint: Endpoint, options: LinkOptions
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.scheduler = scheduler
        self.options = options
        self.dialler = Dialler(self.loop, endpoint)
        self.open_links = 0
        self._tasks = tasks

    def open(self, owner: LinkOwner, attempt: int, credentials: MqttCredentials, outbox: Outbox) -> "NativeLink":
        return NativeLink(self, owner, attempt, credentials, outbox)

    def adopt(self, link: "NativeLink", sock: socket.socket) -> None:
        """Make a connected socket the link's transport; the task lives for two turns of the loop."""
        self._tasks.create_task(adopt(link, sock), name="link.adopt")


class NativeLink(asyncio.Protocol):
    """One attempt over TCP."""

    __slots__ = (
        "_attempt",
        "_corked",
        "_credentials",
        "_decoder",
        "_dial",
        "_engine",
        "_keepalive",
        "_level",
        "_outbox",
        "_owner",
        "_phase",
        "_silent",
        "_terminal",
        "_transport",
    )

    def __init__(
        self, engine: NativeEngine, owner: LinkOwner, attempt: int, credentials: MqttCredentials, outbox: Outbox
    ) -> None:
        self._engine = engine
        self._owner = owner
        self._attempt = attempt
        self._credentials: MqttCredentials | None = credentials
        self._outbox = outbox
        self._level = engine.options.level
        self._decoder = Decoder(FROM_SERVER, version=self._level)
        self._transport: asyncio.Transport | None = None
        self._phase = Phase.DIALLING
        self._terminal: LinkEvent | None = None
        self._silent = False
        self._keepalive = Keepalive(engine.options.keepalive_s)
        self._corked: list[bytes] | None = None
        engine.open_links += 1
        self._dial: Dial | None = engine.dialler.dial(self._dialled, self._dial_failed)
        engine.scheduler.at(engine.scheduler.now() + engine.options.connect_timeout_s, self._connect_timed_out)

    def publish(self, topic: str, payload: bytes) -> None:
        self._send(Publish(topic, payload))

    def send_due(self) -> None:
        if self._phase is Phase.OPEN:
            self._send_messages(self._outbox.due())

    def subscribe(self, topic_filter: str, qos: int) -> None:
        self._send(Subscribe(self._outbox.next_packet_id(), ((topic_filter, qos),)))

    def close(self) -> None:
        if self._phase is Phase.OPEN:
            self._send(Disconnect())
        self._silent = True
        self._end(LinkLost(self._attempt, "closed"), cleanly=True)

    def cut(self, reason: str) -> None:
        self._fail(reason)

    # -- dialling

    def _dialled(self, sock: socket.socket) -> None:
        self._dial = None
        self._engine.adopt(self, sock)

    def _dial_failed(self, reason: str) -> None:
        self._dial = None
        self._phase = Phase.ENDED
        self._terminal = Unreachable(self._attempt, reason)
        self._finish()

    def _connect_timed_out(self) -> None:
        if self._phase in (Phase.DIALLING, Phase.CONNECTING):
            self._fail("no answer in time")

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class derives from nothing
        if self._phase is Phase.ENDED:
            return
        assert self._credentials is not None, "a link connects once"
        self._phase = Phase.CONNECTING
        credentials, self._credentials = self._credentials, None
        self._send(connect_packet(credentials, self._engine.options))

    def adopted(self) -> None:
        """Let go of a transport that came too late: aborted any earlier, uvloop would close its descriptor twice."""
        if self._phase is Phase.ENDED:
            self._abort()

    def data_received(self, data: bytes) -> None:
        """Take packets in; what they make us say goes out in one write."""
        self._keepalive.heard = self._engine.scheduler.now()
        self._corked = []
        try:
            self._decoder.feed(data)
            while self._phase is not Phase.ENDED and (packet := self._decoder.next_packet()) is not None:
                self._received(packet)
        except ProtocolError as error:
            self._fail(f"protocol error: {error}")
        self._uncork()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._terminal is None:
            number = getattr(exc, "errno", None)
            self._terminal = self._lost(os.strerror(number) if number else "closed by the platform")
        self._phase = Phase.ENDED
        self._transport = None
        self._engine.loop.call_soon(self._finish)  # the transport closes its descriptor after this call

    # -- packets

    def _received(self, packet: Packet) -> None:
        match packet:
            case ConnAck():
                self._answered(packet)
            case _ if self._phase is not Phase.OPEN:
                raise ProtocolError(f"{type(packet).__name__} before CONNACK")
            case PubAck():
                self._acknowledged(packet)
            case Publish(topic, payload, qos, packet_id):
                if qos == 2:
                    raise ProtocolError("a QoS 2 message, and nothing was subscribed above QoS 1")
                self._owner.message_arrived(topic, payload)
                if qos:
                    self._send(PubAck(packet_id))
            case PingResp():
                self._keepalive.answered()
            case Disconnect(code):
                self._fail(f"{ReasonCode(code).name.replace('_', ' ').lower()} ({code:#04x})")

    def _acknowledged(self, packet: PubAck) -> None:
        if message := self._outbox.acknowledge(packet.packet_id):
            if packet.code < FAILURE:
                self._owner.message_acknowledged(message)
            self.send_due()

    def _answered(self, answer: ConnAck) -> None:
        if self._phase is not Phase.CONNECTING:
            raise ProtocolError("a second CONNACK")
        event = outcome(self._attempt, answer, self._level)
        if not isinstance(event, Accepted):
            self._end(event)
            return
        self._phase = Phase.OPEN
        wishes = answer.properties  # of MQTT 5.0 (§3.2.2.3)
        self._outbox.window = min(IN_FLIGHT_WINDOW, wishes.receive_maximum or IN_FLIGHT_WINDOW)
        if wishes.server_keep_alive is not None:
            self._keepalive.interval_s = wishes.server_keep_alive
        self._wake_for_keepalive()
        self._send_messages(self._outbox.resume(session_present=answer.session_present), dup=True)
        self._owner.link_event(event)
        self.send_due()

    def _send_messages(self, messages: list[Message], *, dup: bool = False) -> None:
        if not messages or self._phase is not Phase.OPEN:
            return
        for message in messages:
            self._send(as_publish(message, dup=dup))
        self._owner.messages_sent(messages)

    def _send(self, packet: Packet) -> None:
        if self._transport is None or self._phase is Phase.ENDED:
            return
        self._keepalive.sent = self._engine.scheduler.now()
        if self._corked is None:
            self._transport.write(packet.encode(self._level))
        else:
            self._corked.append(packet.encode(self._level))

    def _uncork(self) -> None:
        corked, self._corked = self._corked, None
        if corked and self._transport is not None:
            self._transport.write(b"".join(corked))

    # -- keepalive

    def _wake_for_keepalive(self) -> None:
        if self._keepalive.interval_s and self._phase is Phase.OPEN:
            self._engine.scheduler.at(self._keepalive.due(), self._ping)

    def _ping(self) -> None:
        if self._phase is not Phase.OPEN:
            return
        now = self._engine.scheduler.now()
        if now >= self._keepalive.due():
            self._send(PingReq())
            self._keepalive.pinged = now
            self._engine.scheduler.at(self._keepalive.patience_ends(), self._ping_timed_out)
        self._wake_for_keepalive()

    def _ping_timed_out(self) -> None:
        if self._keepalive.is_dead(self._engine.scheduler.now()):
            self._fail("no answer to a ping")

    # -- the end

    def _lost(self, reason: str) -> LinkEvent:
        if self._phase is Phase.OPEN:
            return LinkLost(self._attempt, reason)
        return Unreachable(self._attempt, reason)

    def _fail(self, reason: str) -> None:
        self._end(self._lost(reason))

    def _end(self, terminal: LinkEvent, *, cleanly: bool = False) -> None:
        if self._phase is Phase.ENDED:
            return
        self._phase = Phase.ENDED
        self._terminal = terminal
        if cleanly and self._transport is not None:
            self._uncork()
            self._transport.close()
            self._engine.scheduler.at(self._engine.scheduler.now() + LINGER_S, self._abort)
        elif self._transport is not None:
            self._abort()
        elif self._dial is not None:
            self._engine.dialler.give_up(self._dial)
            self._dial = None
            self._engine.loop.call_soon(self._finish)

    def _abort(self) -> None:
        self._corked = None
        if self._transport is not None:
            self._transport.abort()

    def _finish(self) -> None:
        """Tell the owner how it ended, unless it asked for silence."""
        assert self._terminal is not None, "a link that ends has a terminal event"
        self._engine.open_links -= 1
        if not self._silent:
            self._owner.link_event(self._terminal)
