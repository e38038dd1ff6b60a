"""Reason codes against the tables of two implementations that we did not write."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import mqtt5
import pytest
from paho.mqtt import reasoncodes
from paho.mqtt.packettypes import PacketTypes

from wire.mqtt import (
    FROM_CLIENT,
    FROM_SERVER,
    ConnAck,
    Decoder,
    Disconnect,
    Packet,
    ProtocolError,
    PubAck,
    ReasonCode,
    SubAck,
    UnsubAck,
)

CARRIERS: dict[str, tuple[Callable[[int], Packet], bytes, bytes, Callable[[int], Any]]] = {
    "connack": (ConnAck, b"\x20\x03\x00", b"\x00", mqtt5.ConnAckReasonCode),
    "puback": (lambda code: PubAck(1, code), b"\x40\x03\x00\x01", b"", mqtt5.PubAckReasonCode),
    "suback": (lambda code: SubAck(1, (code,)), b"\x90\x04\x00\x01\x00", b"", mqtt5.SubAckReasonCode),
    "unsuback": (lambda code: UnsubAck(1, (code,)), b"\xb0\x04\x00\x01\x00", b"", mqtt5.UnsubAckReasonCode),
    "disconnect": (Disconnect, b"\xe0\x01", b"", mqtt5.DisconnectReasonCode),
}


def taken(before: bytes, after: bytes, code: int) -> Packet | None:
    decoder = Decoder(FROM_CLIENT if before[0] == 0x40 else FROM_SERVER, version=5)
    decoder.feed(before + bytes((code,)) + after)
    try:
        return decoder.next_packet()
    except ProtocolError:
        return None


def works(call: Callable[[], Any]) -> bool:
    try:
        call()
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(("build", "before", "after", "theirs"), CARRIERS.values(), ids=CARRIERS)
def test_packet_carries_exactly_the_codes_of_its_table(
    build: Callable[[int], Packet], before: bytes, after: bytes, theirs: Callable[[int], Any]
) -> None:
    expected = {code for code in range(256) if works(partial(theirs, code))}
    packets = {code: packet for code in range(256) if (packet := taken(before, after, code)) is not None}
    assert set(packets) == expected
    assert all(packet == build(code) for code, packet in packets.items())
    assert {code for code in range(256) if works(partial(build(code).encode, 5))} == expected


PAHO_SPELLS = {
    "No subscription found": "No subscription existed",
    "Shared subscription not supported": "Shared Subscriptions not supported",
    "Wildcard subscription not supported": "Wildcard Subscriptions not supported",
}


def test_codes_have_the_names_of_the_specification() -> None:
    names = [(PAHO_SPELLS.get(name, name), code) for code, names in paho_table().items() for name in names]
    expected = {name.upper().replace(" ", "_").replace("-", "_"): code for name, code in names}
    assert {name: code.value for name, code in ReasonCode.__members__.items()} == expected


def paho_table() -> Mapping[int, Mapping[str, list[int]]]:
    return reasoncodes.ReasonCode(PacketTypes.CONNACK).names
