"""paho-mqtt as links want it: on a socket that is ours, its packets as the outbox numbers them, and nothing forgiven.

It dials nobody and never reconnects, acknowledges what the device has seen, and forgets with its link what was in
flight: the outbox has the queue, the window, the packet ids, and the word on what is sent again.
"""

import socket
from collections.abc import Callable
from typing import Protocol, TypeVar

import paho.mqtt.client as mqtt
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode as PahoReason

from simulator.links.answers import disconnect_reason
from simulator.links.tcp import QOS_2_UNASKED, check_order
from simulator.links.tls import Covered, TlsSocket, why
from wire.mqtt import FROM_SERVER, ConnAck, Connect, Disconnect, ProtocolError, Publish, ReasonCode
from wire.mqtt import Properties as WireProperties

FROM_PLATFORM = {**FROM_SERVER, Disconnect.KIND: Disconnect}
QOS_2 = 0x04  # in the first byte of a PUBLISH
REASONS: dict[int, str] = {  # why paho gave up; what is missing here the line knows
    ReasonCode.KEEP_ALIVE_TIMEOUT: "no answer to a ping",
    ReasonCode.PROTOCOL_ERROR: "protocol error: a packet that paho cannot read",
}

CALLBACKS = (
    *("on_connect", "on_disconnect", "on_subscribe", "on_unsubscribe", "on_message", "on_publish"),
    *("on_socket_open", "on_socket_close", "on_socket_register_write", "on_socket_unregister_write"),
)

Argument = TypeVar("Argument")
Result = TypeVar("Result")


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


class Listener(Protocol):
    """Who is told of what paho would keep to itself; paho's user data."""

    @property
    def has_ended(self) -> bool: ...

    def answered(self, answer: ConnAck) -> None: ...

    def violated(self, error: ProtocolError) -> None: ...


class TamedPaho(mqtt.Client):
    """paho on a line, its packet ids and DUP as they are set here before each packet."""

    line: Line
    max_body: int
    packet_id = 0
    dup = False
    goodbye = 0

    def tame(self, line: Line, listener: Listener, max_body: int) -> None:
        """Before it connects."""
        self.line = line
        self.max_body = max_body
        self.user_data_set(listener)
        self.manual_ack_set(True)
        self.max_inflight_messages_set(0)  # none: the outbox keeps the window

    def number(self, packet_id: int, *, dup: bool = False) -> None:
        """Say under which packet id the next packet goes out."""
        self.packet_id, self.dup = packet_id, dup

    def disconnect(self, reasoncode: PahoReason | None = None, properties: Properties | None = None) -> MQTTErrorCode:
        """End with `goodbye` as the reason, which only MQTT 5 says."""
        reason = reasoncode or PahoReason(PacketTypes.DISCONNECT, identifier=self.goodbye)
        return super().disconnect(reason, properties)

    def drop(self) -> None:
        """Close the line at once and tell nobody, whether paho has taken it yet or has given it up already."""
        self._sock_close()
        self.line.close()

    def forget(self) -> None:
        """Know nobody any more who could be told."""
        self.user_data_set(None)
        for name in CALLBACKS:
            setattr(self, name, None)

    def why_it_ended(self, flags: mqtt.DisconnectFlags, code: PahoReason) -> str:
        if flags.is_disconnect_packet_from_server:
            return disconnect_reason(code.value)
        return REASONS.get(code.value, self.line.failure)

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
        listener: Listener = self.user_data_get()
        if listener.has_ended:
            return MQTTErrorCode.MQTT_ERR_SUCCESS
        body = self._in_packet["packet"]
        try:
            packet = self._judged(self._in_packet["command"], body)
        except ProtocolError as error:
            listener.violated(error)
            return MQTTErrorCode.MQTT_ERR_SUCCESS
        if packet is ConnAck and body[1:2] > b"\0":  # paho changes the code of a refusal, or tells nothing of it
            listener.answered(ConnAck(body[1]))
            return MQTTErrorCode.MQTT_ERR_SUCCESS
        return super()._packet_handle()

    def _judged(self, command: int, body: bytes | bytearray) -> object:
        """The kind of a packet; ProtocolError for one that paho might forgive."""
        packet = FROM_PLATFORM.get(command >> 4)
        if packet is None:
            raise ProtocolError(f"packet type {command >> 4} is not expected from this peer")
        check_order(packet, answered=self.is_connected())
        if len(body) > self.max_body:
            message = f"a packet of {len(body)} bytes, at most {self.max_body} are taken"
            raise ProtocolError(message, ReasonCode.PACKET_TOO_LARGE)
        if packet is Publish and command & QOS_2:
            raise ProtocolError(QOS_2_UNASKED)
        return packet


def connect_properties(connect: Connect) -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho gives it no types
    asked = connect.properties
    if asked.session_expiry_interval is not None:
        properties.SessionExpiryInterval = asked.session_expiry_interval
    if asked.maximum_packet_size is not None:
        properties.MaximumPacketSize = asked.maximum_packet_size
    return properties


def acceptance(flags: mqtt.ConnectFlags, said: Properties | None) -> ConnAck:
    """The CONNACK of which paho told this."""
    wishes = WireProperties(
        receive_maximum=getattr(said, "ReceiveMaximum", None),
        maximum_packet_size=getattr(said, "MaximumPacketSize", None),
    )
    return ConnAck(0, flags.session_present, wishes)
