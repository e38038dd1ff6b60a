"""The incremental decoder: bytes in, however they were split; packets out, one at a time."""

from wire.mqtt.connect import Connect
from wire.mqtt.connection import ConnAck, Disconnect, PingReq, PingResp
from wire.mqtt.primitives import MAX_REMAINING_LENGTH, ProtocolError, remaining_length
from wire.mqtt.publish import PubAck, PubComp, Publish, PubRec, PubRel
from wire.mqtt.reason import ReasonCode
from wire.mqtt.subscribe import SubAck, Subscribe, UnsubAck, Unsubscribe

Answer = PubAck | PubRec | PubRel | PubComp
Packet = (
    Connect | ConnAck | Publish | Answer | Subscribe | SubAck | Unsubscribe | UnsubAck | PingReq | PingResp | Disconnect
)
PacketKinds = dict[int, type[Packet]]


def _kinds(*classes: type[Packet]) -> PacketKinds:
    return {int(one.KIND): one for one in classes}


FROM_CLIENT: PacketKinds = _kinds(Connect, Publish, PubAck, Subscribe, Unsubscribe, PingReq, Disconnect)
FROM_ANY_CLIENT: PacketKinds = {**FROM_CLIENT, **_kinds(PubRec, PubRel, PubComp)}
"""What clients send that may use QoS 2."""
FROM_SERVER: PacketKinds = _kinds(ConnAck, Publish, PubAck, SubAck, UnsubAck, PingResp)
FROM_SERVER_IN_5: PacketKinds = _kinds(Disconnect)
CONNECT_BYTE = 0x10


class Decoder:
    """Decode what one peer sends.

    `kinds` says which peer: `FROM_CLIENT`, `FROM_ANY_CLIENT` or `FROM_SERVER`; a packet of the other role is a
    ProtocolError.
    `max_body` bounds the remaining length in bytes; it is checked as soon as the fixed header is complete, so
    that a peer cannot make us hold a large packet.
    `version` is the protocol level that the bytes are read as: a client sets it, a server's follows each CONNECT.

    Feed bytes, then take packets until there is none. A ProtocolError comes only after every good packet
    before the bad bytes was taken; after it the decoder must not be used again.
    """

    __slots__ = ("_at", "_began", "_buffer", "_kinds", "_max_body", "version")

    def __init__(self, kinds: PacketKinds, max_body: int = MAX_REMAINING_LENGTH, version: int = 4) -> None:
        self._kinds = kinds
        self._max_body = max_body
        self._buffer = b""
        self._at = self._began = 0
        self.version = version

    def feed(self, data: bytes) -> None:
        """Add received bytes."""
        self._buffer = self._buffer[self._at :] + data if self._at < len(self._buffer) else data
        self._at = 0

    def next_packet(self) -> Packet | None:
        """Take the next whole packet, or None until more bytes are fed."""
        buffer, at = self._buffer, self._at
        if at >= len(buffer):
            self._buffer, self._at = b"", 0  # an idle connection holds nothing of what it was sent, no password either
            return None
        first = buffer[at]
        kind = self._kinds.get(first >> 4) or self._kind_of_5(first >> 4)
        length, start = remaining_length(buffer, at + 1)
        if length > self._max_body:
            message = f"a packet of {length} bytes, at most {self._max_body} are taken"
            raise ProtocolError(message, ReasonCode.PACKET_TOO_LARGE)
        end = start + length
        if not start or end > len(buffer):
            return None
        self._began, self._at = at, end
        packet = kind.decode(first & 0x0F, buffer[start:end], self.version)
        if first == CONNECT_BYTE or self.version == 5:
            self._settle(packet, padded=start - at > 2 and not buffer[start - 1])
        return packet

    @property
    def has_unread(self) -> bool:
        """Whether more was fed than was taken."""
        return self._at < len(self._buffer)

    def raw(self) -> bytes:
        """Return the bytes of the packet that was taken last; before more is fed, and as long as one was taken."""
        return self._buffer[self._began : self._at]

    def _kind_of_5(self, number: int) -> type[Packet]:
        """Find a kind of packet that this peer sends in 5.0 alone."""
        if self.version == 5 and self._kinds is FROM_SERVER and number in FROM_SERVER_IN_5:
            return FROM_SERVER_IN_5[number]
        raise ProtocolError(f"packet type {number} is not expected from this peer", ReasonCode.PROTOCOL_ERROR)

    def _settle(self, packet: Packet, *, padded: bool) -> None:
        """Follow the version of a CONNECT; check what a packet of 5.0 cannot know of itself."""
        if isinstance(packet, Connect):
            self.version = packet.level
        if self.version != 5:
            return
        if padded:
            raise ProtocolError("a remaining length longer than it needs to be [MQTT-1.5.5-1]")
        if problem := self._sender_error(packet):
            raise ProtocolError(problem, ReasonCode.PROTOCOL_ERROR)

    def _sender_error(self, packet: Packet) -> str | None:
        """Say what this peer may not send, though the other may, or None."""
        from_client = self._kinds is not FROM_SERVER
        if isinstance(packet, Publish) and from_client and packet.properties.subscription_identifier:
            return "a subscription identifier from a client [MQTT-3.3.4-6]"
        if isinstance(packet, Disconnect) and not from_client and packet.properties.session_expiry_interval is not None:
            return "a session expiry interval from a server [MQTT-3.14.2-2]"
        return None
