"""The packet ids of a broker's messages at a client that gets messages of ours too, on the same connection. Pure."""

from broker.access.downlinks import Downlinks, EnginesIds
from broker.sessions import Answer
from wire.mqtt import PubRec, ReasonCode, packet_id_of, with_packet_id

FAILURE = ReasonCode.UNSPECIFIED_ERROR


class PacketIds:
    """Where both would use one packet id, the broker's is changed on its way, and changed back in the answer.

    Those that the client has not answered are kept with its state: in its next session the broker goes on with them,
    and they must be to the client what they were. Ours are chosen among the others.
    """

    __slots__ = ("_downlinks", "_known")

    def __init__(self, downlinks: Downlinks) -> None:
        if downlinks.engines_ids is None:
            downlinks.engines_ids = EnginesIds()
        self._downlinks = downlinks
        self._known = downlinks.engines_ids

    def of_message(self, frame: bytes) -> bytes:
        """Take note of a PUBLISH of the broker's, and return what the client gets."""
        its_id = packet_id_of(frame)
        our_id = self._ours(its_id)
        if our_id == its_id and (self._downlinks.uses(its_id) or its_id in self._known.renamed):
            our_id = self._downlinks.free_id()
            self._known.renamed[our_id] = its_id
        return self._noted(frame, its_id, our_id)

    def of_release(self, frame: bytes) -> bytes:
        """Take note of a PUBREL of the broker's, and return what the client gets."""
        its_id = packet_id_of(frame)
        return self._noted(frame, its_id, self._ours(its_id))

    def of_answer(self, packet: Answer) -> int:
        """Return the broker's id for what a client answers to its message; with the last answer the id is free."""
        its_id = self._known.renamed.get(packet.packet_id, packet.packet_id)
        if not isinstance(packet, PubRec) or packet.code >= FAILURE:
            self._known.in_use.discard(packet.packet_id)
            self._known.renamed.pop(packet.packet_id, None)
        return its_id

    def _ours(self, its_id: int) -> int:
        return next((ours for ours, its in self._known.renamed.items() if its == its_id), its_id)

    def _noted(self, frame: bytes, its_id: int, our_id: int) -> bytes:
        self._known.in_use.add(our_id)
        return frame if our_id == its_id else with_packet_id(frame, our_id)
