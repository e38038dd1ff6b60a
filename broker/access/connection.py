"""One client's MQTT conversation as the server sees it: bytes in, requests out, in the order of the protocol."""

from enum import Enum, auto

from wire.mqtt import (
    FROM_CLIENT,
    ConnAck,
    Connect,
    Decoder,
    Disconnect,
    PingReq,
    ProtocolError,
    PubAck,
    Publish,
    Subscribe,
    Unsubscribe,
    UnsupportedVersion,
)

Request = Connect | Publish | PubAck | Subscribe | Unsubscribe | PingReq | Disconnect


CONNECT_BYTE = b"\x10"
ACCEPTED = ConnAck().encode()


class Phase(Enum):
    SILENT = auto()
    """Nothing was received yet."""
    AWAITING_CONNECT = auto()
    OPEN = auto()
    CLOSED = auto()


class ServerConnection:
    """Feed what the client sent, take its requests one by one, and say how its CONNECT was judged.

    After `refuse` and `close` nothing more is parsed, not even what was fed before.
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

        Raises UnsupportedVersion for a first CONNECT that deserves return code 1, and ProtocolError for anything that
        deserves no answer.
        """
        if self.phase is Phase.CLOSED:
            return None
        try:
            packet = self._decoder.next_packet()
        except UnsupportedVersion as error:
            if self.phase is Phase.OPEN:
                raise ProtocolError("a second CONNECT [MQTT-3.1.0-2]") from error
            raise
        if packet is None:
            return None
        assert isinstance(packet, Request)
        self._check_order(packet)
        return packet

    def accept(self) -> bytes:
        """Open the conversation; returns the CONNACK. Session present is 0: no state is stored [MQTT-3.2.2-1]."""
        self.phase = Phase.OPEN
        return ACCEPTED

    def refuse(self, code: int) -> bytes:
        """End the conversation before it began; returns the CONNACK."""
        self.phase = Phase.CLOSED
        return ConnAck(code).encode()

    def close(self) -> None:
        self.phase = Phase.CLOSED

    def _check_order(self, packet: Request) -> None:
        if self.phase is Phase.AWAITING_CONNECT:
            assert isinstance(packet, Connect), "its first byte was looked at"
        elif isinstance(packet, Connect):
            raise ProtocolError("a second CONNECT [MQTT-3.1.0-2]")
        elif isinstance(packet, Publish) and packet.qos > 1:
            raise ProtocolError("QoS 2 is not offered")
