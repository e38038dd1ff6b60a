"""The outside of records, and spoilt ones against a listener and a client: nothing raises, nobody is thrown out."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire.dtls.pairs import IDENTITY, KEY, Wire
from wire.dtls import Received
from wire.dtls.records import BAD_RECORD_MAC, MAX_DATAGRAM, client_hello, fatal_alert, into_datagrams, records


def one(content_type: int, epoch: int, body: bytes) -> bytes:
    return bytes((content_type, 254, 253)) + epoch.to_bytes(2) + bytes(6) + len(body).to_bytes(2) + body


def test_records_end_with_the_first_that_is_not_whole() -> None:
    datagram = one(22, 0, b"\1hello") + one(20, 0, b"\1") + one(22, 1, b"sealed")
    assert [(found.content_type, found.epoch) for found in records(datagram)] == [(22, 0), (20, 0), (22, 1)]
    assert [found.content_type for found in records(datagram[:-1])] == [22, 20]


def test_hello_is_the_first_record_alone() -> None:
    assert client_hello(one(22, 0, b"\1hello") + one(22, 0, b"\x10more")) == b"\1hello"
    assert client_hello(one(22, 0, b"\2server")) is None
    assert client_hello(one(22, 1, b"\1sealed")) is None
    assert client_hello(b"") is None


def test_alert_counts_only_if_it_is_fatal_and_in_the_clear() -> None:
    assert fatal_alert(BAD_RECORD_MAC) == 20
    assert fatal_alert(one(21, 0, b"\1\x00")) is None
    assert fatal_alert(one(21, 1, b"\2\x14")) is None


@given(st.lists(st.integers(0, 2 * MAX_DATAGRAM), max_size=12))
def test_datagrams_hold_whole_records_and_no_more_than_fit(sizes: list[int]) -> None:
    stream = b"".join(one(23, 1, bytes(size)) for size in sizes)
    datagrams = into_datagrams(stream)
    assert b"".join(datagrams) == stream
    for datagram in datagrams:
        found = list(records(datagram))
        assert sum(13 + len(record.body) for record in found) == len(datagram)
        assert len(datagram) <= MAX_DATAGRAM or len(found) == 1


@given(st.binary(max_size=200))
def test_any_bytes_are_taken_without_an_error(datagram: bytes) -> None:
    list(records(datagram))
    client_hello(datagram)
    fatal_alert(datagram)


SPOILS = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=4)


@settings(max_examples=150, deadline=None)
@given(flight=st.integers(0, 3), spoils=SPOILS)
def test_spoilt_handshake_never_raises_and_the_next_device_gets_in(flight: int, spoils: list[tuple[int, int]]) -> None:
    wire, count = Wire(), 0

    session = wire.client.connect(IDENTITY, KEY)
    for _ in range(6):
        for datagram in session.take():
            wire.take_in(spoilt(datagram, spoils) if count == flight else datagram)
            count += 1
        wire.hand_over(session)
    assert wire.connect(peer=("127.0.0.1", 1)).is_open


@settings(max_examples=150, deadline=None)
@given(spoils=SPOILS, junk=st.binary(max_size=100))
def test_spoilt_data_and_junk_leave_an_open_session_alone(spoils: list[tuple[int, int]], junk: bytes) -> None:
    wire = Wire()
    session = wire.connect()
    session.send(b"x" * 50)
    for datagram in session.take():
        wire.take_in(spoilt(datagram, spoils))
    wire.take_in(junk)
    session.receive(junk)
    session.send(b"alive")
    wire.carry(session)
    assert wire.events[-1] == Received(("127.0.0.1", 40_001), wire.opened()[0], b"alive")


def spoilt(datagram: bytes, spoils: list[tuple[int, int]]) -> bytes:
    data = bytearray(datagram)
    for at, value in spoils:
        data[at % len(data)] = value
    return bytes(data)
