"""Both sides of ours together: what peers that we did not write cannot show, or not so finely."""

import pytest

from tests.wire.dtls.pairs import HERE, IDENTITY, KEY, OTHER_KEY, Wire
from wire.dtls import Client, End, Received
from wire.dtls.records import BAD_RECORD_MAC, Alert, ContentType, records

THERE = ("127.0.0.1", 40_002)


def test_right_key_opens_and_data_goes_both_ways() -> None:
    wire = Wire()
    session = wire.connect()
    assert session.is_open
    assert [one.identity for one in wire.opened()] == [IDENTITY]
    session.send(b"up")
    wire.carry(session)
    assert [event.data for event in wire.events if isinstance(event, Received)] == [b"up"]
    wire.listener.send(HERE, b"down")
    assert wire.hand_over(session) == [b"down"]


def test_all_records_of_a_datagram_are_read() -> None:
    wire = Wire()
    session = wire.connect()
    for said in (b"one", b"two"):
        session.send(said)
    (both,) = session.take()
    wire.take_in(both)
    assert [event.data for event in wire.events if isinstance(event, Received)] == [b"one", b"two"]


def test_wrong_key_is_told_at_once_to_both_sides() -> None:
    wire = Wire()
    session = wire.connect(OTHER_KEY)
    assert (session.is_open, session.end, session.alert) == (False, End.WRONG_KEY, Alert.BAD_RECORD_MAC)
    assert wire.ended() == [End.WRONG_KEY]
    assert (len(wire.listener), wire.listener.half_open) == (0, 0)


def test_identity_that_nobody_has_is_told_at_once_to_both_sides() -> None:
    wire = Wire()
    session = wire.connect(identity=b"nobody")
    assert (session.end, session.alert) == (End.UNKNOWN_IDENTITY, Alert.UNKNOWN_PSK_IDENTITY)
    assert wire.ended() == [End.UNKNOWN_IDENTITY]


@pytest.mark.parametrize("length", [4, 16])
def test_keys_of_the_vendors_lengths_serve(length: int) -> None:
    assert Wire(keys={IDENTITY: KEY[:length]}).connect(KEY[:length]).is_open


@pytest.mark.parametrize(
    ("identity", "key"), [(b"", KEY), (b"a\0b", KEY), (b"x" * 257, KEY), (b"x", b""), (b"x", bytes(65))]
)
def test_identity_or_key_that_cannot_be_carried_is_a_clear_error(identity: bytes, key: bytes) -> None:
    with pytest.raises(ValueError, match="expected 1 to"):
        Client().connect(identity, key)


def test_rotation_leaves_the_open_session_alone_and_decides_the_next_handshake() -> None:
    wire = Wire()
    session = wire.connect()
    wire.keys[IDENTITY] = OTHER_KEY
    assert wire.connect(KEY, THERE).end is End.WRONG_KEY
    assert wire.connect(OTHER_KEY, THERE).is_open
    session.send(b"still here")
    wire.carry(session)
    assert isinstance(wire.events[-1], Received)


def test_same_addresses_refuse_the_old_key_and_take_the_new_one() -> None:
    wire = Wire()
    old = wire.connect()
    wire.keys[IDENTITY] = OTHER_KEY
    assert wire.connect(KEY).end is End.WRONG_KEY
    assert wire.listener.session(HERE) is wire.opened()[0], "who failed has thrown nobody out"
    old.send(b"alive")
    wire.carry(old)
    assert isinstance(wire.events[-1], Received)
    assert wire.connect(OTHER_KEY).is_open
    assert wire.ended() == [End.WRONG_KEY, End.REPLACED]
    assert len(wire.listener) == 1


def test_goodbye_of_a_client_ends_the_session_on_the_other_side() -> None:
    wire = Wire()
    session = wire.connect()
    session.close()
    wire.carry(session)
    assert wire.ended() == [End.CLOSED]
    assert len(wire.listener) == 0


def test_goodbye_of_the_listener_ends_the_session_of_the_client() -> None:
    wire = Wire()
    session = wire.connect()
    wire.listener.close(HERE)
    wire.hand_over(session)
    assert session.end is End.CLOSED
    assert len(wire.listener) == 0


def test_forged_datagrams_do_not_end_an_open_session() -> None:
    wire = Wire()
    session = wire.connect()
    hello = wire.client.connect(IDENTITY, OTHER_KEY).take()[0]
    for forged in (
        BAD_RECORD_MAC,
        hello,
        hello[:20],
        bytes(60),
        b"\x17\xfe\xfd\0\1" + bytes(8) + b"\0\x20" + bytes(32),
    ):
        wire.take_in(forged)
    session.send(b"alive")
    wire.carry(session)
    assert isinstance(wire.events[-1], Received)
    assert wire.ended() == []


def test_nothing_is_remembered_of_a_stranger_before_its_cookie_is_back() -> None:
    wire = Wire()
    for number in range(2000):
        hello = (
            wire.client.connect(IDENTITY, KEY).take()[0] if number % 100 == 0 else bytes((22, 254, 253, number % 256))
        )
        wire.take_in(hello, ("127.0.0.1", number))
    assert (wire.listener.half_open, len(wire.listener)) == (0, 0)
    assert wire.connect().is_open


def test_cookie_of_one_address_is_worth_nothing_at_another() -> None:
    wire = Wire()
    session = wire.client.connect(IDENTITY, KEY)
    wire.take_in(session.take()[0], HERE)
    wire.hand_over(session, HERE)
    (with_cookie,) = session.take()
    wire.take_in(with_cookie, THERE)
    assert wire.listener.half_open == 0
    wire.take_in(with_cookie, HERE)
    assert wire.listener.half_open == 1


def test_repeated_hello_does_not_begin_anew() -> None:
    wire = Wire()
    session = wire.client.connect(IDENTITY, KEY)
    wire.take_in(session.take()[0])
    wire.hand_over(session)
    (with_cookie,) = session.take()
    for _ in range(3):
        wire.take_in(with_cookie)
    wire.hand_over(session)
    wire.carry(session)
    assert session.is_open
    assert wire.ended() == []


def test_half_open_session_is_given_up_after_half_a_minute() -> None:
    wire = Wire()
    session = wire.client.connect(IDENTITY, KEY)
    wire.take_in(session.take()[0])
    wire.hand_over(session)
    wire.take_in(session.take()[0])
    assert wire.listener.wakes_in_s == pytest.approx(0.1)
    assert wire.listener.wake(29.9) == []
    (ended,) = wire.listener.wake(30.0)
    assert ended.session.end is End.TIMEOUT
    assert wire.listener.half_open == 0


def test_finished_whose_change_of_cipher_was_lost_is_no_wrong_key() -> None:
    """Some clients send each record in a datagram of its own; one that is lost must not look like a bad key."""
    wire = Wire()
    session = wire.client.connect(IDENTITY, KEY)
    wire.take_in(session.take()[0])
    wire.hand_over(session)
    wire.take_in(session.take()[0])
    wire.hand_over(session)
    flight = session.take()
    pieces = [piece for datagram in flight for piece in one_by_one(datagram)]
    change = next(piece for piece in pieces if piece[0] == ContentType.CHANGE_CIPHER_SPEC)
    for piece in pieces:
        if piece is not change:
            wire.take_in(piece)
    assert wire.ended() == []
    for piece in pieces:
        wire.take_in(piece)
    assert wire.opened() != []


def one_by_one(datagram: bytes) -> list[bytes]:
    pieces, at = [], 0
    for one in records(datagram):
        size = 13 + len(one.body)
        pieces.append(datagram[at : at + size])
        at += size
    return pieces


def test_newcomers_wait_while_too_many_handshakes_are_half_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wire.dtls.listener.MAX_HALF_OPEN", 2)
    wire, sessions = Wire(), []
    for port in (1, 2, 3):
        session, peer = wire.client.connect(IDENTITY, KEY), ("127.0.0.1", port)
        sessions.append(session)
        wire.take_in(session.take()[0], peer)
        wire.hand_over(session, peer)
        for datagram in session.take():
            wire.take_in(datagram, peer)
    assert wire.listener.half_open == 2
    wire.hand_over(sessions[0], ("127.0.0.1", 1))
    wire.carry(sessions[0], ("127.0.0.1", 1))
    assert sessions[0].is_open
    assert wire.connect(peer=("127.0.0.1", 4)).is_open
