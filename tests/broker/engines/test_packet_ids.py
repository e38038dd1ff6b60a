"""Two number the messages of one client: what each of them sees, in every order of events."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from broker.access import downlinks as downlinks_module
from broker.access.downlinks import Downlinks
from broker.access.queue import Bounds, Message
from broker.engines.packet_ids import PacketIds
from wire.mqtt import PubAck, PubComp, Publish, PubRec, PubRel, packet_id_of

IDS = st.integers(1, 6)
"""So few that they meet all the time; ours are no more than 14 here, and come round."""


def both(window: int = 20) -> tuple[Downlinks, PacketIds]:
    downlinks = Downlinks(window, Bounds(1000, 1 << 20))
    return downlinks, PacketIds(downlinks)


def of_broker(packet_id: int, qos: int = 1) -> bytes:
    return Publish("talk", b"its %d" % packet_id, qos, packet_id).encode()


def ours(downlinks: Downlinks) -> int:
    downlinks.offer(Message("t", b"ours"))
    packet = downlinks.next_packet(0.0)
    assert isinstance(packet, Publish)
    return packet.packet_id


def test_ids_that_do_not_meet_stay_as_they_are() -> None:
    _, ids = both()
    assert ids.of_message(of_broker(7)) == of_broker(7)
    assert ids.of_answer(PubAck(7)) == 7
    assert ids._known.in_use == set()


def test_id_that_is_ours_is_changed_there_and_back() -> None:
    downlinks, ids = both()
    assert ours(downlinks) == 1
    frame = ids.of_message(of_broker(1))
    assert frame == Publish("talk", b"its 1", 1, 2).encode()
    assert ids.of_answer(PubAck(2)) == 1
    assert ids._known.in_use == set()


def test_id_that_another_was_changed_to_is_taken_too() -> None:
    downlinks, ids = both()
    assert ours(downlinks) == 1
    assert packet_id_of(ids.of_message(of_broker(1))) == 2
    assert packet_id_of(ids.of_message(of_broker(2))) == 3
    assert ids.of_answer(PubAck(2)) == 1
    assert ids.of_answer(PubAck(3)) == 2


def test_message_that_is_sent_again_has_the_same_id_again() -> None:
    downlinks, ids = both()
    ours(downlinks)
    assert ids.of_message(of_broker(1)) == ids.of_message(of_broker(1))


def test_exchange_of_qos_2_keeps_its_id_to_its_end() -> None:
    downlinks, ids = both()
    ours(downlinks)
    assert packet_id_of(ids.of_message(of_broker(1, qos=2))) == 2
    assert ids.of_answer(PubRec(2)) == 1
    assert ids.of_release(PubRel(1).encode()) == PubRel(2).encode()
    assert ids.of_answer(PubComp(2)) == 1
    assert ids._known.in_use == set()


def test_exchange_of_qos_2_may_end_early() -> None:
    downlinks, ids = both()
    ours(downlinks)
    ids.of_message(of_broker(1, qos=2))
    assert ids.of_answer(PubRec(2, 0x80)) == 1
    assert ids._known.in_use == set()


class Client(RuleBasedStateMachine):
    """A client that two send to, and that answers in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.patched = pytest.MonkeyPatch()
        self.patched.setattr(downlinks_module, "MAX_PACKET_ID", 14)
        self.downlinks, self.ids = both()
        self.ours: set[int] = set()
        self.its: dict[int, int] = {}
        """What the client holds of the broker's: the id that it knows, and the broker's own."""

    def teardown(self) -> None:
        self.patched.undo()

    @rule()
    @precondition(lambda self: len(self.ours) < 6)
    def we_send(self) -> None:
        packet_id = ours(self.downlinks)
        assert packet_id not in self.ours
        assert packet_id not in self.its
        self.ours.add(packet_id)

    @rule(its_id=IDS)
    def broker_sends(self, its_id: int) -> None:
        frame = self.ids.of_message(of_broker(its_id))
        packet_id = packet_id_of(frame)
        assert packet_id not in self.ours
        assert self.its.get(packet_id, its_id) == its_id, "another of the broker's has that id"
        assert frame == Publish("talk", b"its %d" % its_id, 1, packet_id).encode()
        if its_id in self.its.values():
            assert self.its[packet_id] == its_id, "what is sent again keeps its id"
        self.its[packet_id] = its_id

    @rule(data=st.data())
    @precondition(lambda self: self.ours)
    def client_answers_us(self, data: st.DataObject) -> None:
        packet_id = data.draw(st.sampled_from(sorted(self.ours)))
        assert self.downlinks.acknowledged(packet_id)
        self.ours.discard(packet_id)

    @rule(data=st.data())
    @precondition(lambda self: self.its)
    def client_answers_the_broker(self, data: st.DataObject) -> None:
        packet_id = data.draw(st.sampled_from(sorted(self.its)))
        assert not self.downlinks.acknowledged(packet_id)
        assert self.ids.of_answer(PubAck(packet_id)) == self.its.pop(packet_id)

    @invariant()
    def ids_in_use_are_the_clients(self) -> None:
        assert self.ids._known.in_use == set(self.its)


TestClient = Client.TestCase
TestClient.settings = settings(max_examples=60)
