"""The framer: cuts a stream into packets and reads nothing of them, for who passes them on."""

from collections.abc import Iterator

from wire.mqtt.primitives import remaining_length


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
