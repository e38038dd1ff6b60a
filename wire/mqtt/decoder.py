"""The incremental decoder: bytes in, however they were split; packets out, one at a time."""

from wire.mqtt.connect import ConnAck, Connect, Disconnect, PingReq, PingResp
from wire.mqtt.primitives import MAX_REMAINING_LENGTH, ProtocolError
from wire.mqtt.publish import PubAck, Publish
from wire.mqtt.subscribe import SubAck, Subscribe, UnsubAck, Unsubscribe

Packet = (
    Connect | ConnAck | Publish | PubAck | Subscribe | SubAck | Unsubscribe | UnsubAck | PingReq | PingResp | Disconnect
)
PacketKinds = dict[int, type[Packet]]


def _kinds(*classes: type[Packet]) -> PacketKinds:
    return {one.KIND: one for one in classes}


FROM_CLIENT: PacketKinds = _kinds(Connect, Publish, PubAck, Subscribe, Unsubscribe, PingReq, Disconnect)
FROM_SERVER: PacketKinds = _kinds(ConnAck, Publish, PubAck, SubAck, UnsubAck, PingResp)


class Decoder:
    """Decode what one peer sends.

    `kinds` says which peer: `FROM_CLIENT` or `FROM_SERVER`; a packet of the other role is a ProtocolError.
    `max_body` bounds the remaining length in bytes; it is checked as soon as the fixed header is complete, so
    that a peer cannot make us hold a large packet.

    Feed bytes, then take packets until there is none. A ProtocolError comes only after every good packet
    before the bad bytes was taken; after it the decoder must not be used again.
    """

    __slots__ = ("_at", "_buffer", "_kinds", "_max_body")

    def __init__(self, kinds: PacketKinds, max_body: int = MAX_REMAINING_LENGTH) -> None:
        self._kinds = kinds
        self._max_body = max_body
        self._buffer = b""
        self._at = 0

    def feed(self, data: bytes) -> None:
        """Add received bytes."""
        self._buffer = self._buffer[self._at :] + data if self._at < len(self._buffer) else data
        self._at = 0

    def next_packet(self) -> Packet | None:
        """Take the next whole packet, or None until more bytes are fed."""
        buffer, at = self._buffer, self._at
        if at >= len(buffer):
            return None
        first = buffer[at]
        kind = self._kinds.get(first >> 4)
        if kind is None:
            raise ProtocolError(f"packet type {first >> 4} is not expected from this peer")
        length, start = self._remaining_length(at + 1)
        end = start + length
        if not start or end > len(buffer):
            return None
        self._at = end
        return kind.decode(first & 0x0F, buffer[start:end])

    def _remaining_length(self, at: int) -> tuple[int, int]:
        """Read the length field at `at`: its value and where the body starts (0 while it is incomplete)."""
        buffer, length = self._buffer, 0
        for shift in (0, 7, 14, 21):
            if at >= len(buffer):
                return 0, 0
            digit = buffer[at]
            at += 1
            length |= (digit & 0x7F) << shift
            if digit < 0x80:
                if length > self._max_body:
                    raise ProtocolError(f"a packet of {length} bytes, at most {self._max_body} are taken")
                return length, at
        raise ProtocolError("a remaining length of more than four bytes [MQTT-2.2.3]")
