"""One client's MQTT conversation as the server sees it: bytes in, requests out, in the order of the protocol."""

from enum import Enum, auto

from wire.mqtt import (
    FROM_ANY_CLIENT,
    FROM_CLIENT,
    Connect,
    Decoder,
    Disconnect,
    PingReq,
    ProtocolError,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    ReasonCode,
    Subscribe,
    Unsubscribe,
    UnsupportedVersion,
)
from wire.mqtt.topics import is_shared

Answer = PubAck | PubRec | PubRel | PubComp
Request = Connect | Publish | Answer | Subscribe | Unsubscribe | PingReq | Disconnect

CONNECT_BYTE = b"\x10"


class Phase(Enum):
    SILENT = auto()
    """Nothing was received yet."""
    AWAITING_CONNECT = auto()
    HOLDING = auto()
    """CONNECT was judged; until it is answered nothing more is taken."""
    OPEN = auto()
    CLOSED = auto()


class ServerConnection:
    """Feed what the client sent, take its requests one by one, and say how its CONNECT was judged.

    After `close` nothing more is parsed, not even what was fed before. What a client of MQTT 5 was told that we do not
    offer is a protocol error when it comes all the same, each with the reason code that the specification gives it;
    of `any_client` whatever MQTT allows is taken.
    """

    __slots__ = ("_any_client", "_decoder", "phase")

    def __init__(self, max_body: int, *, any_client: bool = False) -> None:
        self._any_client = any_client
        self._decoder = Decoder(FROM_ANY_CLIENT if any_client else FROM_CLIENT, max_body)
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
        if self.phase is Phase.CLOSED or self.phase is Phase.HOLDING:
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

    @property
    def has_unread(self) -> bool:
        """Whether more was fed than was taken."""
        return self._decoder.has_unread

    def raw(self) -> bytes:
        """Return the bytes of the request that was taken last."""
        return self._decoder.raw()

    def hold(self) -> None:
        self.phase = Phase.HOLDING

    def accept(self) -> None:
        self.phase = Phase.OPEN

    def close(self) -> None:
        self.phase = Phase.CLOSED

    def _check_order(self, packet: Request) -> None:
        if self.phase is Phase.AWAITING_CONNECT:
            assert isinstance(packet, Connect), "its first byte was looked at"
        elif isinstance(packet, Connect):
            raise _second_connect()
        elif self._any_client:
            return
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
