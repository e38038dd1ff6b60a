"""One client's MQTT conversation as the server sees it: bytes in, requests out, in the order of the protocol."""

from enum import Enum, auto

from wire.mqtt import (
    FROM_CLIENT,
    Connect,
    Decoder,
    Disconnect,
    PingReq,
    ProtocolError,
    PubAck,
    Publish,
    ReasonCode,
    Subscribe,
    Unsubscribe,
    UnsupportedVersion,
)
from wire.mqtt.topics import is_shared

Request = Connect | Publish | PubAck | Subscribe | Unsubscribe | PingReq | Disconnect


CONNECT_BYTE = b"\x10"


class Phase(Enum):
    SILENT = auto()
    """Nothing was received yet."""
    AWAITING_CONNECT = auto()
    OPEN = auto()
    CLOSED = auto()


class ServerConnection:
    """Feed what the client sent, take its requests one by one, and say how its CONNECT was judged.

    After `close` nothing more is parsed, not even what was fed before. What a client of MQTT 5 was told that we do not
    offer is a protocol error when it comes all the same, each with the reason code that the specification gives it.
    """

    __slots__ = ("_decoder", "phase")

    def __init__(self, max_body: int) -> None:
        self._decoder = Decoder(FROM_CLIENT, max_body)
        self.phase = Phase.SILENT

    def feed(self, data: bytes) -> None:
        """Take received bytes, one or more; raises ProtocolError when the very first is no CONNECT's."""
        if self.phase is Phase.SILENT:
            self.phase = Phase.AWAITING_CONNECT
            if data[:1] != CONNECT_BYTE:
                raise ProtocolError("the first packet is no CONNECT [MQTT-3.1.0-1]")
        if self.phase is not Phase.CLOSED:
            self._decoder.feed(data)

    def next_request(self) -> Request | None:
        """Take the next request, or None until more is fed.

        Raises UnsupportedVersion for a first CONNECT that deserves a CONNACK saying so, and ProtocolError for anything
        else that ends the conversation.
        """
        if self.phase is Phase.CLOSED:
            return None
        try:
            packet = self._decoder.next_packet()
        except UnsupportedVersion as error:
            if self.phase is Phase.OPEN:
                raise _second_connect() from error
            raise
        if packet is None:
            return None
        assert isinstance(packet, Request)
        self._check_order(packet)
        return packet

    @property
    def level(self) -> int:
        """The protocol level of the CONNECT; 4 before there was one."""
        return self._decoder.version

    def accept(self) -> None:
        self.phase = Phase.OPEN

    def close(self) -> None:
        self.phase = Phase.CLOSED

    def _check_order(self, packet: Request) -> None:
        if self.phase is Phase.AWAITING_CONNECT:
            assert isinstance(packet, Connect), "its first byte was looked at"
        elif isinstance(packet, Connect):
            raise _second_connect()
        elif isinstance(packet, Publish):
            if packet.qos > 1:
                raise ProtocolError("QoS 2 is not offered", ReasonCode.QOS_NOT_SUPPORTED)
            if self._decoder.version == 5:
                _check_publish(packet)
        elif isinstance(packet, Subscribe) and self._decoder.version == 5:
            _check_subscribe(packet)


def _second_connect() -> ProtocolError:
    return ProtocolError("a second CONNECT [MQTT-3.1.0-2]", ReasonCode.PROTOCOL_ERROR)


def _check_publish(packet: Publish) -> None:
    if packet.retain:
        raise ProtocolError("retained messages are not offered [MQTT-3.2.2-14]", ReasonCode.RETAIN_NOT_SUPPORTED)
    if packet.properties.topic_alias is not None:
        raise ProtocolError("topic aliases are not offered [MQTT-3.3.2-9]", ReasonCode.TOPIC_ALIAS_INVALID)


def _check_subscribe(packet: Subscribe) -> None:
    """What the CONNACK has denied, a client must not ask for (5.0 §3.2.2.3.12, §3.2.2.3.13)."""
    if packet.properties.subscription_identifier:
        message = "subscription identifiers are not offered"
        raise ProtocolError(message, ReasonCode.SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED)
    if any(is_shared(wanted) for wanted, _ in packet.filters):
        raise ProtocolError("shared subscriptions are not offered", ReasonCode.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED)
