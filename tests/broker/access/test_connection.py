"""The server's side of a conversation, in every order of packets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.access.connection import Phase, ServerConnection
from tests.broker.rig import BOTH_VERSIONS, connect
from wire.mqtt import (
    Connect,
    Disconnect,
    Packet,
    PingReq,
    Properties,
    ProtocolError,
    PubAck,
    Publish,
    ReasonCode,
    Subscribe,
    Unsubscribe,
    UnsupportedVersion,
)

CAP = 1000
UNKNOWN_VERSION = b"\x10\x0d\x00\x04MQTT\x06\x02\x00\x3c\x00\x00\x00"


def fed(*packets: Packet | bytes, accepted: bool = True, level: int = 4) -> ServerConnection:
    connection = ServerConnection(CAP)
    if accepted:
        connection.feed(connect(level=level).encode())
        assert isinstance(connection.next_request(), Connect)
        connection.accept()
    for packet in packets:
        connection.feed(packet if isinstance(packet, bytes) else packet.encode(level))
    return connection


@pytest.mark.parametrize("level", [3, 4, 5])
def test_connect_comes_first_and_says_the_version(level: int) -> None:
    packet = connect(level=level)
    connection = fed(packet, accepted=False)
    assert connection.next_request() == packet
    assert connection.level == level
    connection.accept()
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


@BOTH_VERSIONS
@pytest.mark.parametrize("packet", REQUESTS, ids=lambda packet: type(packet).__name__)
def test_everything_is_served_after_connect(packet: Packet, level: int) -> None:
    assert fed(packet, level=level).next_request() == packet


@BOTH_VERSIONS
@pytest.mark.parametrize("again", [connect().encode(), connect(level=5).encode(), UNKNOWN_VERSION])
def test_second_connect_is_an_error(again: bytes, level: int) -> None:
    with pytest.raises(ProtocolError, match="second CONNECT") as caught:
        fed(again, level=level).next_request()
    assert not isinstance(caught.value, UnsupportedVersion)
    assert caught.value.code is ReasonCode.PROTOCOL_ERROR


def test_first_connect_of_an_unknown_version_is_told_apart() -> None:
    with pytest.raises(UnsupportedVersion):
        fed(UNKNOWN_VERSION, accepted=False).next_request()


@BOTH_VERSIONS
def test_qos_2_is_an_error(level: int) -> None:
    with pytest.raises(ProtocolError, match="QoS 2") as caught:
        fed(Publish("t", b"x", 2, 1), level=level).next_request()
    assert caught.value.code is ReasonCode.QOS_NOT_SUPPORTED


DENIED: list[tuple[Packet, ReasonCode]] = [
    (Publish("t", b"x", retain=True), ReasonCode.RETAIN_NOT_SUPPORTED),
    (Publish("t", b"x", properties=Properties(topic_alias=1)), ReasonCode.TOPIC_ALIAS_INVALID),
    (
        Subscribe(1, (("t", 0),), properties=Properties(subscription_identifier=(1,))),
        ReasonCode.SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED,
    ),
    (Subscribe(1, (("t", 0), ("$share/g/t", 0))), ReasonCode.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED),
]


@pytest.mark.parametrize(("packet", "code"), DENIED, ids=lambda value: getattr(value, "name", ""))
def test_what_connack_denies_is_an_error_in_5_and_served_in_3_1_1(packet: Packet, code: ReasonCode) -> None:
    with pytest.raises(ProtocolError, match="not offered") as caught:
        fed(packet, level=5).next_request()
    assert caught.value.code is code
    assert type(fed(packet).next_request()) is type(packet)


@BOTH_VERSIONS
def test_packet_over_the_cap_is_refused_at_its_header(level: int) -> None:
    with pytest.raises(ProtocolError, match="at most") as caught:
        fed(b"\x30\xff\x7f", level=level).next_request()
    assert caught.value.code is ReasonCode.PACKET_TOO_LARGE


def test_requests_come_one_by_one() -> None:
    connection = fed(PingReq(), Publish("t", b"x"))
    assert [connection.next_request() for _ in range(3)] == [PingReq(), Publish("t", b"x"), None]


@pytest.mark.parametrize("accepted", [False, True])
def test_nothing_is_parsed_after_close(accepted: bool) -> None:
    connection = fed(PingReq(), accepted=True) if accepted else fed(connect(), PingReq(), accepted=False)
    connection.close()
    connection.feed(PingReq().encode())
    assert connection.next_request() is None
    assert connection.phase is Phase.CLOSED


@given(st.lists(st.binary(min_size=1, max_size=60), max_size=6), st.booleans(), st.sampled_from([4, 5]))
def test_any_bytes_raise_only_protocol_errors(chunks: list[bytes], accepted: bool, level: int) -> None:
    connection = fed(accepted=accepted, level=level)
    try:
        for chunk in chunks:
            connection.feed(chunk)
            while connection.next_request() is not None:
                connection.phase = Phase.OPEN
    except ProtocolError:
        pass
