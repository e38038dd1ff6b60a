"""Two send messages on one connection, and no packet id means two of them."""

import pytest

from broker.access.downlinks import Downlinks
from broker.access.queue import Bounds, Message
from broker.engines.packet_ids import PacketIds
from wire.mqtt import PubAck, PubComp, Publish, PubRec, PubRel, packet_id_of


@pytest.fixture
def downlinks() -> Downlinks:
    return Downlinks(20, Bounds(100, 1 << 20))


def ours(downlinks: Downlinks) -> int:
    """Send a message of ours; returns its packet id."""
    downlinks.offer(Message("$oc/x", b"ours"))
    packet = downlinks.next_packet(0.0)
    assert isinstance(packet, Publish)
    return packet.packet_id


def its(ids: PacketIds, packet_id: int, qos: int = 1) -> int:
    """Let a message of the broker's come; returns the packet id that the client gets."""
    return packet_id_of(ids.of_message(Publish("a", b"its", qos, packet_id).encode()))


def test_message_keeps_an_id_that_is_free(downlinks: Downlinks) -> None:
    ids = PacketIds(downlinks)
    frame = Publish("a", b"its", 1, 1).encode()
    assert ids.of_message(frame) is frame
    assert ours(downlinks) == 2
    assert ids.of_answer(PubAck(1)) == 1


def test_id_that_we_use_is_changed_on_the_way_and_back_in_the_answer(downlinks: Downlinks) -> None:
    ids = PacketIds(downlinks)
    assert ours(downlinks) == 1
    assert its(ids, 1) == 2
    assert ids.of_answer(PubAck(2)) == 1
    assert its(ids, 2) == 2


def test_id_that_another_of_its_messages_was_given_is_changed_too(downlinks: Downlinks) -> None:
    ids = PacketIds(downlinks)
    ours(downlinks)
    assert [its(ids, 1), its(ids, 2), its(ids, 3)] == [2, 3, 4]
    assert [ids.of_answer(PubAck(packet_id)) for packet_id in (3, 4, 2)] == [2, 3, 1]


def test_id_of_qos_2_is_taken_until_the_last_answer(downlinks: Downlinks) -> None:
    ids = PacketIds(downlinks)
    ours(downlinks)
    assert its(ids, 1, qos=2) == 2
    assert ids.of_answer(PubRec(2)) == 1
    assert ours(downlinks) == 3
    assert ids.of_release(PubRel(1).encode()) == PubRel(2).encode()
    assert ids.of_answer(PubComp(2)) == 1
    assert ids.of_release(PubRel(1).encode()) == PubRel(1).encode()


def test_message_of_qos_2_that_is_not_wanted_leaves_its_id_free(downlinks: Downlinks) -> None:
    ids = PacketIds(downlinks)
    ours(downlinks)
    assert its(ids, 1, qos=2) == 2
    assert ids.of_answer(PubRec(2, 0x80)) == 1
    assert ids.of_answer(PubAck(2)) == 2


def test_next_session_goes_on_with_what_the_client_has_not_answered(downlinks: Downlinks) -> None:
    before = PacketIds(downlinks)
    first = ours(downlinks)
    assert its(before, 1, qos=2) == 2
    before.of_answer(PubRec(2))
    downlinks.acknowledged(first)
    downlinks.suspend()
    downlinks.resume(20)
    after = PacketIds(downlinks)
    assert ours(downlinks) == 3
    assert after.of_release(PubRel(1).encode()) == PubRel(2).encode()


def test_released_id_is_in_use_although_its_message_is_of_a_session_before(downlinks: Downlinks) -> None:
    ids = PacketIds(downlinks)
    ids.of_release(PubRel(1).encode())
    assert ours(downlinks) == 2
    ids.of_answer(PubComp(1))


def test_nothing_is_kept_of_an_engine_that_has_forgotten(downlinks: Downlinks) -> None:
    ours(downlinks)
    assert its(PacketIds(downlinks), 1, qos=2) == 2
    downlinks.forget_engine()
    assert PacketIds(downlinks).of_release(PubRel(1).encode()) == PubRel(1).encode()
