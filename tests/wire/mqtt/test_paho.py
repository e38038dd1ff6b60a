"""The codec against paho-mqtt, an independent implementation, over a loopback socket.

One thread: paho writes at once when no network loop runs, and reads when `loop` is called.
"""

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from wire.mqtt import (
    FROM_CLIENT,
    ConnAck,
    Connect,
    Decoder,
    Disconnect,
    Packet,
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

DEADLINE_S = 5.0


class Line:
    """A paho client and, at the other end of its socket, our codec. `heard` is what its callbacks got."""

    def __init__(self, listener: socket.socket, **options: Any) -> None:
        self.heard: list[tuple[Any, ...]] = []
        self.client = Client(CallbackAPIVersion.VERSION2, reconnect_on_failure=False, **options)
        self._listener = listener
        self._decoder = Decoder(FROM_CLIENT)
        self._record_callbacks()

    def _record_callbacks(self) -> None:
        client, hear = self.client, self.heard.append
        client.on_connect = lambda _c, _u, flags, code, _p: hear(("connect", flags.session_present, str(code)))
        client.on_subscribe = lambda _c, _u, mid, codes, _p: hear(("subscribe", mid, [c.value for c in codes]))
        client.on_unsubscribe = lambda _c, _u, mid, _codes, _p: hear(("unsubscribe", mid))
        client.on_publish = lambda _c, _u, mid, _code, _p: hear(("publish", mid))
        client.on_message = lambda _c, _u, m: hear(("message", m.topic, m.payload, m.qos, m.mid, m.retain, m.dup))
        client.on_log = lambda _c, _u, _level, text: hear((text,)) if text == "Received PINGRESP" else None

    def connect(self, **options: Any) -> Packet:
        assert self.client.connect("127.0.0.1", self._listener.getsockname()[1], **options) == 0
        self.server, _ = self._listener.accept()
        self.server.settimeout(DEADLINE_S)
        return self.take()

    def connected(self) -> "Line":
        self.connect()
        self.give(ConnAck(), until=lambda: bool(self.heard))
        self.heard.clear()
        return self

    def take(self) -> Packet:
        """Decode the next packet that paho sends."""
        while (packet := self._decoder.next_packet()) is None:
            received = self.server.recv(4096)
            assert received, "paho closed the connection"
            self._decoder.feed(received)
        return packet

    def give(self, *packets: Packet, until: Callable[[], bool]) -> None:
        """Send packets to paho and let it read until `until` holds."""
        self.server.sendall(b"".join(packet.encode() for packet in packets))
        deadline = time.monotonic() + DEADLINE_S
        while not until():
            assert time.monotonic() < deadline, f"paho heard only {self.heard}"
            self.client.loop(timeout=0.1)

    def give_and_hear(self, *packets: Packet) -> list[tuple[Any, ...]]:
        self.give(*packets, until=lambda: len(self.heard) >= len(packets))
        return self.heard

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop(timeout=0)
        self.server.close()


@pytest.fixture
def open_line() -> Iterator[Callable[..., Line]]:
    lines: list[Line] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(DEADLINE_S)

        def opened(**options: Any) -> Line:
            lines.append(Line(listener, **options))
            return lines[-1]

        yield opened
        for line in lines:
            line.close()


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
