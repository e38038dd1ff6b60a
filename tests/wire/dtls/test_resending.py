"""What is sent again, and when: by the real clock, because OpenSSL resends by its own."""

import time

from tests.wire.dtls.pairs import HERE, IDENTITY, KEY, Wire
from wire.dtls import Session


def half_open(wire: Wire, session: Session) -> bytes:
    """Bring the listener to its flight, which is lost; return the ClientHello that has asked for it."""
    wire.take_in(session.take()[0])
    wire.hand_over(session)
    (hello,) = session.take()
    wire.take_in(hello)
    assert wire.listener.half_open == 1
    wire.sent.clear()
    return hello


def outwait(session: Session) -> None:
    """Wait for as long as OpenSSL itself waits until it sends again: a second, and longer each time."""
    while left_s := session.resend_in_s():
        time.sleep(left_s)


def test_client_that_begins_anew_does_not_meet_the_flight_of_the_handshake_before() -> None:
    """It would take it for the answer to its own ClientHello, and the listener its Finished for a wrong key's."""
    wire = Wire()
    half_open(wire, wire.client.connect(IDENTITY, KEY))
    outwait(wire.listener._half_open[HERE].session)
    anew = wire.client.connect(IDENTITY, KEY)
    wire.listener.wake(0.0)
    wire.hand_over(anew)
    wire.carry(anew)
    assert (anew.is_open, anew.end, wire.ended()) == (True, None, [])


def test_flight_that_is_lost_is_sent_again_once_when_its_client_repeats_itself() -> None:
    wire = Wire()
    session = wire.client.connect(IDENTITY, KEY)
    hello = half_open(wire, session)
    wire.take_in(hello)
    assert wire.sent == [], "it is too early for OpenSSL"
    for count in (1, 0):
        outwait(wire.listener._half_open[HERE].session)
        wire.listener.wake(0.0)
        assert len(wire.sent) == count
        wire.hand_over(session)
    wire.carry(session)
    assert session.is_open


def test_client_that_has_its_answer_by_repeating_itself_gets_no_other_later() -> None:
    wire = Wire()
    session = wire.client.connect(IDENTITY, KEY)
    hello = half_open(wire, session)
    outwait(wire.listener._half_open[HERE].session)
    wire.take_in(hello)
    assert len(wire.sent) == 1
    outwait(wire.listener._half_open[HERE].session)
    wire.listener.wake(0.0)
    assert len(wire.sent) == 1


def test_finished_of_the_listener_that_is_lost_is_sent_again_when_its_client_repeats_itself() -> None:
    wire = Wire()
    session = wire.client.connect(IDENTITY, KEY)
    for _ in range(3):
        wire.sent.clear()
        wire.take_in(session.take()[0])
        answers = list(wire.sent)
        wire.hand_over(session) if len(wire.opened()) == 0 else wire.sent.clear()
    assert answers
    assert not session.is_open
    outwait(session)
    session.resend()
    wire.carry(session)
    assert session.is_open
    assert wire.ended() == []
