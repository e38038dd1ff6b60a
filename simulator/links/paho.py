"""MQTT on paho-mqtt, the client that most devices of this world run: the reference beside the native engine.

paho talks, with its own encoding and its own keepalive, on a socket that is ours and from the loop that is ours: one
descriptor, no thread, no task. It decides nothing else. Every link has a paho client of its own, which dials nobody,
never reconnects, and forgets with its link what was in flight: the outbox has the queue, the window, the packet ids,
and the word on what is sent again.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, TypeVar

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode as PahoReason

from simulator.links.answers import MQTT_5, disconnect_reason
from simulator.links.greeting import max_body
from simulator.links.outbox import Message
from simulator.links.tcp import QOS_2_UNASKED, TcpEngine, TcpLink
from simulator.links.tls import Covered, TlsSocket, why
from simulator.scheduler import Scheduler, Timer, cancel
from wire.mqtt import FROM_SERVER, ConnAck, Connect, Disconnect, ProtocolError, Publish, ReasonCode
from wire.mqtt import Properties as WireProperties

LOOKS = 10  # at the clock in one keepalive interval: paho's pings are late by a tenth of it at most
FROM_PLATFORM = {**FROM_SERVER, Disconnect.KIND: Disconnect}
QOS_2 = 0x04  # in the first byte of a PUBLISH
REASONS: dict[int, str] = {  # why paho gave up; what is missing here the line knows
    ReasonCode.KEEP_ALIVE_TIMEOUT: "no answer to a ping",
    ReasonCode.PROTOCOL_ERROR: "protocol error: a packet that paho cannot read",
}

Argument = TypeVar("Argument")
Result = TypeVar("Result")


class PahoEngine(TcpEngine):
    """Opens links that paho talks on, to one endpoint for a fleet."""

    def client(self, link: TcpLink, sock: socket.socket | TlsSocket) -> "PahoClient":
        return PahoClient(self, link, Line(sock))


class Line(Covered["socket.socket | TlsSocket"]):
    """A connected socket as paho sees it: it remembers why it failed, which paho does not, and can be cut."""

    __slots__ = ("failure", "is_cut")

    def __init__(self, sock: socket.socket | TlsSocket) -> None:
        super().__init__(sock)
        self.failure = "closed by the platform"
        self.is_cut = False

    def recv(self, buffer_size: int) -> bytes:
        return self._unless_cut(self._sock.recv, buffer_size)

    def send(self, buffer: bytes | bytearray) -> int:
        return self._unless_cut(self._sock.send, buffer)

    def pending(self) -> int:
        """How much can be read although the socket is not readable."""
        return self._sock.pending() if isinstance(self._sock, TlsSocket) else 0

    def _unless_cut(self, call: Callable[[Argument], Result], argument: Argument) -> Result:
        if self.is_cut:
            raise ConnectionAbortedError
        try:
            return call(argument)
        except BlockingIOError:
            raise
        except OSError as error:
            self.failure = why(error)
            raise


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
        self._mqtt.publish(topic, payload)

    def send(self, message: Message, *, dup: bool) -> None:
        self._mqtt.packet_id, self._mqtt.dup = message.packet_id, dup
        self._mqtt.publish(message.topic, message.payload, qos=1)
        self._mqtt.packet_id, self._mqtt.dup = 0, False

    def subscribe(self, packet_id: int, topic_filter: str, qos: int) -> None:
        self._mqtt.packet_id = packet_id
        self._mqtt.subscribe(topic_filter, qos)
        self._mqtt.packet_id = 0

    def say_goodbye(self, code: int) -> None:
        self._mqtt.disconnect(PahoReason(PacketTypes.DISCONNECT, identifier=code))

    def hang_up(self) -> None:
        """Have paho find the line dead in the next turn: inside a callback of its own it would wait for itself."""
        self._line.is_cut = True
        self._engine.loop.call_soon(self._mqtt.loop_read)


class Mqtt(mqtt.Client):
    """paho on a line, its packet ids and DUP as they are set here before each packet; it tells the link what it hears.

    Its callbacks are functions: bound to an object they would make a circle of every link that ended.
    """

    def __init__(self, scheduler: Scheduler, line: Line, link: TcpLink, connect: Connect, max_body: int) -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2,
            connect.client_id,
            clean_session=None if connect.level == MQTT_5 else connect.clean_session,
            userdata=link,
            protocol=MQTTProtocolVersion(connect.level),
            reconnect_on_failure=False,
            manual_ack=True,
        )
        self._scheduler = scheduler
        self.line = line
        self.timer: Timer | None = None
        self._max_body = max_body
        self.packet_id = 0
        self.dup = False
        self.max_inflight_messages_set(0)  # none: the outbox keeps the window
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
            terms = {"clean_start": connect.clean_session, "properties": _properties(connect)}
        self.connect("dialled already", keepalive=connect.keepalive, **terms)

    def look_later(self) -> None:
        """See to the keepalive from now on, for as long as the line is open."""
        if self.keepalive and self.socket() is not None:
            self.timer = self._scheduler.at(self._scheduler.now() + self.keepalive / LOOKS, self._look)

    def _look(self) -> None:
        """Let paho ping when it is time, or give the line up for want of an answer."""
        self.loop_misc()
        self.look_later()

    def _create_socket(self) -> Line:
        return self.line

    def _mid_generate(self) -> int:
        return self.packet_id

    def _send_publish(
        self,
        mid: int,
        topic: bytes,
        payload: bytes | bytearray = b"",
        qos: int = 0,
        retain: bool = False,
        dup: bool = False,
        info: mqtt.MQTTMessageInfo | None = None,
        properties: Properties | None = None,
    ) -> MQTTErrorCode:
        return super()._send_publish(mid, topic, payload, qos, retain, dup or self.dup, info, properties)

    def _packet_handle(self) -> MQTTErrorCode:
        if self._is_welcome(self._in_packet["command"], self._in_packet["packet"]):
            return super()._packet_handle()
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _is_welcome(self, command: int, body: bytes | bytearray) -> bool:
        """Judge a packet that paho might forgive, and a refusal: paho changes its code, or tells nothing of it."""
        link: TcpLink = self.user_data_get()
        if link.has_ended:
            return False
        try:
            packet = FROM_PLATFORM.get(command >> 4)
            if packet is None:
                raise ProtocolError(f"packet type {command >> 4} is not expected from this peer")
            link.check(packet)
            if len(body) > self._max_body:
                message = f"a packet of {len(body)} bytes, at most {self._max_body} are taken"
                raise ProtocolError(message, ReasonCode.PACKET_TOO_LARGE)
            if packet is Publish and command & QOS_2:
                raise ProtocolError(QOS_2_UNASKED)
        except ProtocolError as error:
            link.violated(error)
            return False
        if packet is ConnAck and body[1:2] > b"\0":
            link.answered(ConnAck(body[1]))
            return False
        return True


def _properties(connect: Connect) -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho gives it no types
    asked = connect.properties
    if asked.session_expiry_interval is not None:
        properties.SessionExpiryInterval = asked.session_expiry_interval
    if asked.maximum_packet_size is not None:
        properties.MaximumPacketSize = asked.maximum_packet_size
    return properties


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
    wishes = WireProperties(
        receive_maximum=getattr(said, "ReceiveMaximum", None),
        maximum_packet_size=getattr(said, "MaximumPacketSize", None),
    )
    link.answered(ConnAck(0, flags.session_present, wishes))


def _acknowledged(_client: mqtt.Client, link: TcpLink, packet_id: int, code: PahoReason, _said: Properties) -> None:
    link.acknowledged(packet_id, code.value)


def _arrived(client: mqtt.Client, link: TcpLink, message: mqtt.MQTTMessage) -> None:
    try:
        topic = message.topic
    except UnicodeDecodeError as error:
        link.fail(f"protocol error: {error}")
        return
    link.arrived(topic, bytes(message.payload))
    client.ack(message.mid, message.qos)


def _ended(
    client: mqtt.Client, link: TcpLink, flags: mqtt.DisconnectFlags, code: PahoReason, _said: Properties | None
) -> None:
    assert isinstance(client, Mqtt), "the client that this is a callback of"
    cancel(client.timer)
    if flags.is_disconnect_packet_from_server:
        link.gone(disconnect_reason(code.value))
    else:
        link.gone(REASONS.get(code.value, client.line.failure))
