"""The framer: cuts a stream into packets and reads nothing of them, for who passes them on.

What must be known of a packet all the same is read, or changed, in its bytes.
"""

from collections.abc import Iterator
from typing import Protocol, TypeVar

from wire.mqtt.primitives import PacketType, ProtocolError, encode_packet_id, remaining_length, unpack_u16

P_co = TypeVar("P_co", covariant=True)


class Kind(Protocol[P_co]):
    """A class of packets."""

    def decode(self, flags: int, body: bytes, version: int = 4) -> P_co: ...


class Framer:
    """Cut what a trusted peer sends into whole packets, however its bytes were split."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Add received bytes; yields every packet that is whole, and raises ProtocolError at an impossible length.

        Take all of them before more is fed.
        """
        buffer = self._rest + data if self._rest else data
        at = 0
        while at < len(buffer):
            length, start = remaining_length(buffer, at + 1)
            end = start + length
            if not start or end > len(buffer):
                break
            yield buffer[at:end]
            at = end
        self._rest = buffer[at:]


def read_frame(kind: Kind[P_co], frame: bytes, version: int) -> P_co:
    """Decode a whole packet of this kind; raises ProtocolError."""
    return kind.decode(frame[0] & 0x0F, frame[remaining_length(frame, 1)[1] :], version)


def packet_id_of(frame: bytes) -> int:
    """Read the packet identifier of a packet that has one: of a PUBLISH after its topic, else first of all."""
    return int(unpack_u16(frame, _packet_id_at(frame))[0])


def with_packet_id(frame: bytes, packet_id: int) -> bytes:
    """Return the packet with another packet identifier."""
    at = _packet_id_at(frame)
    return frame[:at] + encode_packet_id(packet_id) + frame[at + 2 :]


def _packet_id_at(frame: bytes) -> int:
    _, at = remaining_length(frame, 1)
    if frame[0] >> 4 == PacketType.PUBLISH and at + 2 <= len(frame):
        at += 2 + unpack_u16(frame, at)[0]
    if at + 2 > len(frame):
        raise ProtocolError("the packet ends before its packet identifier")
    return at
