"""MQTT on paho-mqtt, the client that most devices of this world run: the reference beside the native engine.

paho talks, with its own encoding and its own keepalive, on a socket that is ours and from the loop that is ours: one
descriptor, no thread, no task. It decides nothing else. Every link has a paho client of its own.
"""

import asyncio
import socket
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode as PahoReason

from simulator.links.answers import MQTT_5
from simulator.links.greeting import max_body
from simulator.links.outbox import Message
from simulator.links.tamed_paho import Line, TamedPaho, acceptance, connect_properties
from simulator.links.tcp import TcpEngine, TcpLink
from simulator.links.tls import TlsSocket
from simulator.scheduler import Scheduler, Timer, cancel
from wire.mqtt import Connect, topic_error

LOOKS = 10  # at the clock in one keepalive interval: paho's pings are late by a tenth of it at most


class PahoEngine(TcpEngine):
    """Opens links that paho talks on, to one endpoint for a fleet."""

    def client(self, link: TcpLink, sock: socket.socket | TlsSocket) -> "PahoClient":
        return PahoClient(self, link, Line(sock))


class PahoClient:
    """Has paho talk for one link."""

    __slots__ = ("_engine", "_line", "_mqtt")

    def __init__(self, engine: PahoEngine, link: TcpLink, line: Line) -> None:
        self._engine = engine
        self._line = line
        connect = link.greeting()
        self._mqtt = Mqtt(engine.scheduler, line, link, connect, max_body(engine.options))
        self._mqtt.greet(connect)

    def publish(self, topic: str, payload: bytes) -> None:
        self._mqtt.number(0)
        self._mqtt.publish(topic, payload)

    def send(self, message: Message, *, dup: bool) -> None:
        self._mqtt.number(message.packet_id, dup=dup)
        self._mqtt.publish(message.topic, message.payload, qos=1)

    def subscribe(self, packet_id: int, topic_filter: str, qos: int) -> None:
        self._mqtt.number(packet_id)
        self._mqtt.subscribe(topic_filter, qos)

    def say_goodbye(self, code: int) -> None:
        self._mqtt.goodbye = code
        self._mqtt.disconnect()

    def hang_up(self) -> None:
        """Have paho find the line dead in the next turn: inside a callback of its own it would wait for itself."""
        self._line.is_cut = True
        self._engine.loop.call_soon(self._mqtt.loop_read)


class Mqtt(TamedPaho):
    """paho in our loop, with its keepalive on our scheduler; it tells the link what it hears.

    Its callbacks are functions: bound to an object they would make a circle of every link that ended.
    """

    def __init__(self, scheduler: Scheduler, line: Line, link: TcpLink, connect: Connect, max_body: int) -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2,
            connect.client_id,
            clean_session=None if connect.level == MQTT_5 else connect.clean_session,
            protocol=MQTTProtocolVersion(connect.level),
            reconnect_on_failure=False,
        )
        self.tame(line, link, max_body)
        self._scheduler = scheduler
        self.timer: Timer | None = None
        self.on_socket_open = _opened
        self.on_socket_close = _closed
        self.on_socket_register_write = _has_something_to_write
        self.on_socket_unregister_write = _has_written
        self.on_connect = _accepted
        self.on_publish = _acknowledged
        self.on_message = _arrived
        self.on_disconnect = _ended

    def greet(self, connect: Connect) -> None:
        """Take the line and send CONNECT."""
        self.username_pw_set(connect.username, (connect.password or b"").decode())
        terms: dict[str, Any] = {}
        if connect.level == MQTT_5:
            terms = {"clean_start": connect.clean_session, "properties": connect_properties(connect)}
        self.connect("dialled already", keepalive=connect.keepalive, **terms)

    def look_later(self) -> None:
        """See to the keepalive from now on, for as long as the line is open."""
        if self.keepalive and self.socket() is not None:
            self.timer = self._scheduler.at(self._scheduler.now() + self.keepalive / LOOKS, self._look)

    def _look(self) -> None:
        """Let paho ping when it is time, or give the line up for want of an answer."""
        self.loop_misc()
        self.look_later()


# -- what paho calls back


def _opened(client: mqtt.Client, _link: TcpLink, line: "mqtt.SocketLike") -> None:
    asyncio.get_running_loop().add_reader(line, _read, client)


def _read(client: mqtt.Client) -> None:
    """Read a packet, and what came in one record of TLS with it: no reader tells of that."""
    assert isinstance(client, Mqtt), "the client that this is a callback of"
    client.loop_read()
    while client.socket() is not None and client.line.pending():
        client.loop_read()


def _closed(_client: mqtt.Client, _link: TcpLink, line: "mqtt.SocketLike") -> None:
    asyncio.get_running_loop().remove_reader(line)


def _has_something_to_write(client: mqtt.Client, _link: TcpLink, line: "mqtt.SocketLike") -> None:
    asyncio.get_running_loop().add_writer(line, client.loop_write)


def _has_written(_client: mqtt.Client, _link: TcpLink, line: "mqtt.SocketLike") -> None:
    asyncio.get_running_loop().remove_writer(line)


def _accepted(
    client: mqtt.Client, link: TcpLink, flags: mqtt.ConnectFlags, _code: PahoReason, said: Properties | None
) -> None:
    assert isinstance(client, Mqtt), "the client that this is a callback of"
    client.look_later()
    link.answered(acceptance(flags, said))


def _acknowledged(_client: mqtt.Client, link: TcpLink, packet_id: int, code: PahoReason, _said: Properties) -> None:
    link.acknowledged(packet_id, code.value)


def _arrived(client: mqtt.Client, link: TcpLink, message: mqtt.MQTTMessage) -> None:
    try:
        topic = message.topic
    except UnicodeDecodeError as error:
        link.fail(f"protocol error: {error}")
        return
    if problem := topic_error(topic):
        link.fail(f"protocol error: {problem}")
        return
    link.arrived(topic, bytes(message.payload))
    client.ack(message.mid, message.qos)


def _ended(
    client: mqtt.Client, link: TcpLink, flags: mqtt.DisconnectFlags, code: PahoReason, _said: Properties | None
) -> None:
    assert isinstance(client, Mqtt), "the client that this is a callback of"
    cancel(client.timer)
    link.gone(client.why_it_ended(flags, code))
