"""The codec against paho-mqtt, an independent implementation, over a loopback socket: MQTT 3.1.1 and 3.1."""

from collections.abc import Callable, Iterator

import pytest
from paho.mqtt.enums import MQTTErrorCode, MQTTProtocolVersion

from tests.wire.mqtt.paho_line import Line, opener
from wire.mqtt import (
    ConnAck,
    Connect,
    Disconnect,
    PingReq,
    PingResp,
    PubAck,
    Publish,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
    Will,
)


@pytest.fixture
def open_line() -> Iterator[Callable[..., Line]]:
    with opener(Line) as opened:
        yield opened


@pytest.fixture
def line(open_line: Callable[..., Line]) -> Line:
    return open_line(client_id="dev").connected()


def test_paho_connect_with_everything_is_understood(open_line: Callable[..., Line]) -> None:
    line = open_line(client_id="d1_0_0_2025010100", clean_session=False)
    line.client.username_pw_set("d1", "pässword")
    line.client.will_set("dévice/will", b"\x00gone", qos=1, retain=True)
    assert line.connect(keepalive=120) == Connect(
        client_id="d1_0_0_2025010100",
        username="d1",
        password="pässword".encode(),
        keepalive=120,
        clean_session=False,
        will=Will("dévice/will", b"\x00gone", qos=1, retain=True),
    )


@pytest.mark.parametrize("clean", [True, False])
def test_paho_connect_with_nothing_optional_is_understood(open_line: Callable[..., Line], clean: bool) -> None:
    line = open_line(client_id="dev", clean_session=clean)
    assert line.connect(keepalive=30) == Connect("dev", keepalive=30, clean_session=clean)


def test_paho_connect_of_mqtt_3_1_is_understood(open_line: Callable[..., Line]) -> None:
    line = open_line(client_id="dev", protocol=MQTTProtocolVersion.MQTTv31)
    assert line.connect() == Connect("dev", level=3)


def test_paho_reads_a_session_present(open_line: Callable[..., Line]) -> None:
    line = open_line(client_id="dev", clean_session=False)
    line.connect()
    assert line.give_and_hear(ConnAck(0, session_present=True)) == [("connect", True, "Success")]


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        (2, "Client identifier not valid"),
        (3, "Server unavailable"),
        (4, "Bad user name or password"),
        (5, "Not authorized"),
    ],
)
def test_paho_reads_each_refusal(open_line: Callable[..., Line], code: int, meaning: str) -> None:
    line = open_line(client_id="dev")
    line.connect()
    assert line.give_and_hear(ConnAck(code)) == [("connect", False, meaning)]


def test_subscription_and_its_answer_are_understood_both_ways(line: Line) -> None:
    error, mid = line.client.subscribe([("a/+", 0), ("$oc/devices/dev/#", 1), ("é", 2)])
    assert error == MQTTErrorCode.MQTT_ERR_SUCCESS
    assert mid is not None
    assert line.take() == Subscribe(mid, (("a/+", 0), ("$oc/devices/dev/#", 1), ("é", 2)))
    assert line.give_and_hear(SubAck(mid, (0, 1, 0x80))) == [("subscribe", mid, [0, 1, 0x80])]


def test_unsubscription_and_its_answer_are_understood_both_ways(line: Line) -> None:
    _, mid = line.client.unsubscribe(["a/+", "b"])
    assert mid is not None
    assert line.take() == Unsubscribe(mid, ("a/+", "b"))
    assert line.give_and_hear(UnsubAck(mid)) == [("unsubscribe", mid)]


def test_paho_publish_of_qos_0_is_understood(line: Line) -> None:
    line.client.publish("a/é", b"\x00\xff", qos=0, retain=True)
    assert line.take() == Publish("a/é", b"\x00\xff", retain=True)


def test_paho_publish_of_qos_1_and_our_puback_are_understood(line: Line) -> None:
    info = line.client.publish("a", b"x" * 20_000, qos=1)
    assert line.take() == Publish("a", b"x" * 20_000, 1, info.mid)
    line.give_and_hear(PubAck(info.mid))
    assert line.heard == [("publish", info.mid)]
    assert info.is_published()


def test_paho_reads_our_messages_and_acknowledges_qos_1(line: Line) -> None:
    heard = line.give_and_hear(
        Publish("a/é", b"\x00\xff"), Publish("b", b"y" * 300, 1, 65_535, retain=True, dup=True), Publish("c")
    )
    assert heard == [
        ("message", "a/é", b"\x00\xff", 0, 0, False, False),
        ("message", "b", b"y" * 300, 1, 65_535, True, True),
        ("message", "c", b"", 0, 0, False, False),
    ]
    assert line.take() == PubAck(65_535)


def test_ping_and_its_answer_are_understood_both_ways(line: Line) -> None:
    line.client._send_pingreq()
    assert line.take() == PingReq()
    assert line.give_and_hear(PingResp()) == [("Received PINGRESP",)]


def test_paho_reads_a_refused_version(open_line: Callable[..., Line]) -> None:
    """As a 3.1 client: with 3.1.1 paho takes code 1 as a cue to downgrade and calls nobody."""
    line = open_line(client_id="dev", protocol=MQTTProtocolVersion.MQTTv31)
    line.connect()
    assert line.give_and_hear(ConnAck(1)) == [("connect", False, "Unsupported protocol version")]


def test_paho_disconnect_is_understood(line: Line) -> None:
    line.client.disconnect()
    assert line.take() == Disconnect()
