"""The packet ids of a broker's messages at a client that gets messages of ours too, on the same connection. Pure."""

from broker.access.downlinks import Downlinks
from broker.sessions import Answer
from wire.mqtt import PubRec, ReasonCode, packet_id_of, with_packet_id

FAILURE = ReasonCode.UNSPECIFIED_ERROR


class PacketIds:
    """Where both would use one packet id, the broker's is changed on its way, and changed back in the answer.

    `in_use` are those that the client has not answered; ours are chosen among the others.
    """

    __slots__ = ("_downlinks", "_renamed", "in_use")

    def __init__(self, downlinks: Downlinks) -> None:
        self._downlinks = downlinks
        self._renamed: dict[int, int] = {}
        self.in_use: set[int] = set()
        downlinks.taken = self.in_use

    def of_message(self, frame: bytes) -> bytes:
        """Take note of a PUBLISH of the broker's, and return what the client gets."""
        its_id = packet_id_of(frame)
        our_id = self._ours(its_id)
        if our_id == its_id and (self._downlinks.uses(its_id) or its_id in self._renamed):
            our_id = self._downlinks.free_id()
            self._renamed[our_id] = its_id
        self.in_use.add(our_id)
        return frame if our_id == its_id else with_packet_id(frame, our_id)

    def of_release(self, frame: bytes) -> bytes:
        """Return the PUBREL that the client gets for one of the broker's."""
        return with_packet_id(frame, self._ours(packet_id_of(frame))) if self._renamed else frame

    def of_answer(self, packet: Answer) -> int:
        """Return the broker's id for what a client answers to its message; with the last answer the id is free."""
        its_id = self._renamed.get(packet.packet_id, packet.packet_id)
        if not isinstance(packet, PubRec) or packet.code >= FAILURE:
            self.in_use.discard(packet.packet_id)
            self._renamed.pop(packet.packet_id, None)
        return its_id

    def _ours(self, its_id: int) -> int:
        return next((ours for ours, its in self._renamed.items() if its == its_id), its_id)
