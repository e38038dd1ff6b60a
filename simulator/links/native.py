"""MQTT on `wire.mqtt` and asyncio.Protocol: one file descriptor and no task for a connected device."""

import asyncio
import os
import socket
from typing import cast

from simulator.links.adoption import adopt
from simulator.links.answers import disconnect_reason
from simulator.links.keepalive import Keepalive
from simulator.links.link import Endpoint, LinkOptions
from simulator.links.outbox import Message, as_publish
from simulator.links.tcp import QOS_2_UNASKED, TcpEngine, TcpLink
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
    Subscribe,
)


class NativeEngine(TcpEngine):
    """Opens native links to one endpoint for a fleet."""

    def __init__(
        self, tasks: asyncio.TaskGroup, scheduler: Scheduler, endpoint: Endpoint, options: LinkOptions
    ) -> None:
        super().__init__(scheduler, endpoint, options)
        self._tasks = tasks

    def client(self, link: TcpLink, sock: socket.socket) -> "NativeClient":
        """Make the socket a client's transport; the task lives for two turns of the loop."""
        client = NativeClient(self, link)
        self._tasks.create_task(adopt(client, sock), name="link.adopt")
        return client


class NativeClient(asyncio.Protocol):
    """Talks MQTT for one link."""

    __slots__ = ("_corked", "_decoder", "_ended", "_keepalive", "_level", "_link", "_scheduler", "_transport")

    def __init__(self, engine: NativeEngine, link: TcpLink) -> None:
        self._link = link
        self._scheduler = engine.scheduler
        self._level = engine.options.level
        self._decoder = Decoder(FROM_SERVER, version=self._level)
        self._keepalive = Keepalive(engine.options.keepalive_s)
        self._transport: asyncio.Transport | None = None
        self._corked: list[bytes] | None = None
        self._ended = False

    def publish(self, topic: str, payload: bytes) -> None:
        self._send(Publish(topic, payload))

    def send(self, message: Message, *, dup: bool) -> None:
        self._send(as_publish(message, dup=dup))

    def subscribe(self, packet_id: int, topic_filter: str, qos: int) -> None:
        self._send(Subscribe(packet_id, ((topic_filter, qos),)))

    def say_goodbye(self) -> None:
        self._send(Disconnect())
        self._uncork()
        self._ended = True
        if self._transport is not None:
            self._transport.close()

    def hang_up(self) -> None:
        self._ended = True
        self._corked = None
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class derives from nothing
        self._send(self._link.greeting())

    def adopted(self) -> None:
        """Let go of a transport that came too late: aborted any earlier, uvloop would close its descriptor twice."""
        if self._ended:
            self.hang_up()

    def data_received(self, data: bytes) -> None:
        """Take packets in; what they make us say goes out in one write."""
        self._keepalive.heard = self._scheduler.now()
        self._corked = []
        try:
            self._decoder.feed(data)
            while not self._ended and (packet := self._decoder.next_packet()) is not None:
                self._received(packet)
        except ProtocolError as error:
            self._link.fail(f"protocol error: {error}")
        self._uncork()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        self._transport = None
        number = getattr(exc, "errno", None)
        self._link.gone(os.strerror(number) if number else "closed by the platform")

    # -- packets

    def _received(self, packet: Packet) -> None:
        self._link.check(type(packet))
        match packet:
            case ConnAck():
                self._answered(packet)
            case PubAck():
                self._link.acknowledged(packet.packet_id, packet.code)
            case Publish():
                self._arrived(packet)
            case PingResp():
                self._keepalive.answered()
            case Disconnect(code):
                self._link.fail(disconnect_reason(code))

    def _answered(self, answer: ConnAck) -> None:
        if answer.properties.server_keep_alive is not None:
            self._keepalive.interval_s = answer.properties.server_keep_alive
        self._link.answered(answer)
        self._wake_for_keepalive()

    def _arrived(self, message: Publish) -> None:
        if message.qos == 2:
            raise ProtocolError(QOS_2_UNASKED)
        self._link.arrived(message.topic, message.payload)
        if message.qos:
            self._send(PubAck(message.packet_id))

    def _send(self, packet: Packet) -> None:
        if self._transport is None or self._ended:
            return
        self._keepalive.sent = self._scheduler.now()
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
        if self._keepalive.interval_s and not self._ended:
            self._scheduler.at(self._keepalive.due(), self._ping)

    def _ping(self) -> None:
        if self._ended:
            return
        now = self._scheduler.now()
        if now >= self._keepalive.due():
            self._send(PingReq())
            self._keepalive.pinged = now
            self._scheduler.at(self._keepalive.patience_ends(), self._ping_timed_out)
        self._wake_for_keepalive()

    def _ping_timed_out(self) -> None:
        if self._keepalive.is_dead(self._scheduler.now()):
            self._link.fail("no answer to a ping")
