"""MQTT on `wire.mqtt` and a bare socket: one file descriptor and no task for a connected device."""

import socket

from simulator.links.answers import disconnect_reason
from simulator.links.greeting import max_body
from simulator.links.keepalive import Keepalive
from simulator.links.link import Endpoint, LinkOptions
from simulator.links.outbox import Message, as_publish
from simulator.links.stream import Streams
from simulator.links.tcp import QOS_2_UNASKED, TcpEngine, TcpLink
from simulator.links.tls import TlsSocket
from simulator.scheduler import Scheduler, Timer, cancel
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

    def __init__(self, scheduler: Scheduler, endpoint: Endpoint, options: LinkOptions) -> None:
        super().__init__(scheduler, endpoint, options)
        self.streams = Streams(self.loop)

    def client(self, link: TcpLink, sock: socket.socket | TlsSocket) -> "NativeClient":
        return NativeClient(self, link, sock)


class NativeClient:
    """Talks MQTT for one link."""

    __slots__ = ("_decoder", "_ended", "_keepalive", "_level", "_link", "_scheduler", "_stream", "_timer")

    def __init__(self, engine: NativeEngine, link: TcpLink, sock: socket.socket | TlsSocket) -> None:
        self._link = link
        self._scheduler = engine.scheduler
        self._level = engine.options.level
        self._decoder = Decoder(FROM_SERVER, max_body(engine.options), self._level)
        self._keepalive = Keepalive(engine.options.keepalive_s)
        self._ended = False
        self._timer: Timer | None = None
        self._stream = engine.streams.open(sock, self)
        self._send(link.greeting())

    def publish(self, topic: str, payload: bytes) -> None:
        self._send(Publish(topic, payload))

    def send(self, message: Message, *, dup: bool) -> None:
        self._send(as_publish(message, dup=dup))

    def subscribe(self, packet_id: int, topic_filter: str, qos: int) -> None:
        self._send(Subscribe(packet_id, ((topic_filter, qos),)))

    def say_goodbye(self, code: int) -> None:
        self._send(Disconnect(code))
        self._ended = True
        self._stream.finish()

    def hang_up(self) -> None:
        self._stream.close()
        self.stream_ended("closed")

    # -- the stream

    def data_received(self, data: bytes) -> None:
        self._keepalive.heard = self._scheduler.now()
        try:
            self._decoder.feed(data)
            while not self._ended and (packet := self._decoder.next_packet()) is not None:
                self._received(packet)
        except ProtocolError as error:
            self._link.violated(error)

    def stream_ended(self, reason: str) -> None:
        self._ended = True
        cancel(self._timer)
        self._link.gone(reason)

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
        self._look_later()

    def _arrived(self, message: Publish) -> None:
        if message.qos == 2:
            raise ProtocolError(QOS_2_UNASKED)
        self._link.arrived(message.topic, message.payload)
        if message.qos:
            self._send(PubAck(message.packet_id))

    def _send(self, packet: Packet) -> None:
        if not self._ended:
            self._keepalive.sent = self._scheduler.now()
            self._stream.write(packet.encode(self._level))

    # -- keepalive

    def _look_later(self) -> None:
        if self._keepalive.interval_s and not self._ended:
            self._timer = self._scheduler.at(self._keepalive.wakes_at(), self._look)

    def _look(self) -> None:
        """Ping when it is time, or give the link up for want of an answer."""
        now = self._scheduler.now()
        if self._keepalive.is_dead(now):
            self._link.fail("no answer to a ping")
        elif not self._keepalive.pinged and now >= self._keepalive.due():
            self._send(PingReq())
            self._keepalive.pinged = now
        self._look_later()
