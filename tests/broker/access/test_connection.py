"""The server's side of a conversation, in every order of packets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.access.connection import Phase, ServerConnection
from tests.broker.rig import connect
from wire.mqtt import (
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PingReq,
    ProtocolError,
    PubAck,
    Publish,
    Subscribe,
    Unsubscribe,
    UnsupportedVersion,
)

CAP = 1000
V5_CONNECT = b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x00"


def fed(*packets: Packet | bytes, accepted: bool = True) -> ServerConnection:
    connection = ServerConnection(CAP)
    if accepted:
        connection.feed(connect().encode())
        assert isinstance(connection.next_request(), Connect)
        connection.accept()
    for packet in packets:
        connection.feed(packet if isinstance(packet, bytes) else packet.encode())
    return connection


def test_connect_comes_first_and_opens() -> None:
    connection = fed(connect(), accepted=False)
    assert connection.next_request() == connect()
    assert connection.accept() == ConnAck(0).encode()
    assert connection.phase is Phase.OPEN


REQUESTS: list[Packet] = [
    Publish("t", b"x"),
    PubAck(1),
    Subscribe(1, (("t", 0),)),
    Unsubscribe(1, ("t",)),
    PingReq(),
    Disconnect(),
]


@pytest.mark.parametrize("packet", REQUESTS, ids=lambda packet: type(packet).__name__)
def test_nothing_is_served_before_connect(packet: Packet) -> None:
    with pytest.raises(ProtocolError, match="no CONNECT"):
        fed(packet.encode()[:1], accepted=False)


@pytest.mark.parametrize("packet", REQUESTS, ids=lambda packet: type(packet).__name__)
def test_everything_is_served_after_connect(packet: Packet) -> None:
    assert fed(packet).next_request() == packet


@pytest.mark.parametrize("again", [connect().encode(), V5_CONNECT])
def test_second_connect_is_an_error(again: bytes) -> None:
    with pytest.raises(ProtocolError, match="second CONNECT") as caught:
        fed(again).next_request()
    assert not isinstance(caught.value, UnsupportedVersion)


def test_first_connect_of_another_version_is_told_apart() -> None:
    with pytest.raises(UnsupportedVersion):
        fed(V5_CONNECT, accepted=False).next_request()


def test_qos_2_is_an_error() -> None:
    with pytest.raises(ProtocolError, match="QoS 2"):
        fed(Publish("t", b"x", 2, 1)).next_request()


def test_packet_over_the_cap_is_refused_at_its_header() -> None:
    with pytest.raises(ProtocolError, match="at most"):
        fed(b"\x30\xff\x7f").next_request()


def test_requests_come_one_by_one() -> None:
    connection = fed(PingReq(), Publish("t", b"x"))
    assert [connection.next_request() for _ in range(3)] == [PingReq(), Publish("t", b"x"), None]


def test_nothing_is_parsed_after_a_refusal() -> None:
    connection = fed(connect(), PingReq(), accepted=False)
    connection.next_request()
    assert connection.refuse(4) == ConnAck(4).encode()
    connection.feed(PingReq().encode())
    assert connection.next_request() is None
    assert connection.phase is Phase.CLOSED


def test_nothing_is_parsed_after_close() -> None:
    connection = fed(PingReq())
    connection.close()
    assert connection.next_request() is None


@given(st.lists(st.binary(min_size=1, max_size=60), max_size=6), st.booleans())
def test_any_bytes_raise_only_protocol_errors(chunks: list[bytes], accepted: bool) -> None:
    connection = fed(accepted=accepted)
    try:
        for chunk in chunks:
            connection.feed(chunk)
            while connection.next_request() is not None:
                connection.phase = Phase.OPEN
    except ProtocolError:
        pass
