"""The packets of QoS 2: their bytes, the reasons that they may carry, and who may send them."""

import pytest

from wire.mqtt import (
    FROM_ANY_CLIENT,
    FROM_CLIENT,
    Decoder,
    Packet,
    Properties,
    ProtocolError,
    PubComp,
    PubRec,
    PubRel,
    ReasonCode,
)

NOT_FOUND = ReasonCode.PACKET_IDENTIFIER_NOT_FOUND
PLAIN = [(PubRec(258), "50 02 0102"), (PubRel(258), "62 02 0102"), (PubComp(258), "70 02 0102")]
EXPLAINED: list[tuple[Packet, str]] = [
    (PubRec(1, ReasonCode.QUOTA_EXCEEDED), "50 03 0001 97"),
    (PubRel(1, NOT_FOUND), "62 03 0001 92"),
    (PubComp(1, NOT_FOUND, Properties(reason_string="?")), "70 08 0001 92 04 1f 0001 3f"),
]


def decode(wire: str, version: int = 4, kinds: dict[int, type[Packet]] = FROM_ANY_CLIENT) -> Packet | None:
    decoder = Decoder(kinds, version=version)
    decoder.feed(bytes.fromhex(wire))
    return decoder.next_packet()


@pytest.mark.parametrize(("packet", "wire"), PLAIN)
@pytest.mark.parametrize("version", [4, 5])
def test_plain_answer_is_its_packet_identifier_in_both_versions(packet: Packet, wire: str, version: int) -> None:
    assert packet.encode(version) == bytes.fromhex(wire)
    assert decode(wire, version) == packet


@pytest.mark.parametrize(("packet", "wire"), EXPLAINED)
def test_answer_of_5_carries_a_reason(packet: Packet, wire: str) -> None:
    assert packet.encode(5) == bytes.fromhex(wire)
    assert decode(wire, 5) == packet


@pytest.mark.parametrize("wire", ["60 02 0001", "52 02 0001", "72 02 0001"], ids=["PUBREL", "PUBREC", "PUBCOMP"])
def test_reserved_flags_are_refused(wire: str) -> None:
    with pytest.raises(ProtocolError, match="flags"):
        decode(wire)


@pytest.mark.parametrize("wire", ["62 03 0001 97", "70 03 0001 97", "50 03 0001 92"])
def test_reason_that_the_packet_cannot_carry_is_refused(wire: str) -> None:
    with pytest.raises(ProtocolError, match="reason code"):
        decode(wire, 5)


@pytest.mark.parametrize(("packet", "wire"), PLAIN)
def test_client_without_qos_2_sends_none_of_them(packet: Packet, wire: str) -> None:
    with pytest.raises(ProtocolError, match="not expected"):
        decode(wire, kinds=FROM_CLIENT)
