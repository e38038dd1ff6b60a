"""What MQTT 5.0 says must be refused, and the reason that the peer can be told."""

import pytest

from tests.wire.mqtt.strategies import Kinds
from wire.mqtt import FROM_CLIENT, FROM_SERVER, Decoder, ProtocolError, ReasonCode

CONNECT = "0004 4d515454 05"
MALFORMED, PROTOCOL = ReasonCode.MALFORMED_PACKET, ReasonCode.PROTOCOL_ERROR
BAD_FROM_CLIENT: dict[str, tuple[str, ReasonCode]] = {
    "connect with a reserved header flag": ("11 0e" + CONNECT + "02 0000 00 0001 61", MALFORMED),
    "connect with the reserved connect flag": ("10 0e" + CONNECT + "03 0000 00 0001 61", MALFORMED),
    "connect with will QoS 3": ("10 14" + CONNECT + "1e 0000 00 0001 61 00 0001 74 0000", MALFORMED),
    "connect with a will QoS and no will": ("10 0e" + CONNECT + "0a 0000 00 0001 61", MALFORMED),
    "connect with a retained will and no will": ("10 0e" + CONNECT + "22 0000 00 0001 61", MALFORMED),
    "connect with no properties' length": ("10 0a" + CONNECT + "02 0000", MALFORMED),
    "connect cut inside its properties": ("10 0e" + CONNECT + "02 0000 04 11 0000", MALFORMED),
    "connect whose will has no properties' length": ("10 13" + CONNECT + "06 0000 00 0001 61 0001 74 0000", MALFORMED),
    "connect whose will has a wildcard": (
        "10 14" + CONNECT + "06 0000 00 0001 61 00 0001 23 0000",
        ReasonCode.TOPIC_NAME_INVALID,
    ),
    "connect whose will delay is its own property": ("10 12" + CONNECT + "02 0000 05 18 00000001 0000", MALFORMED),
    "connect with authentication data alone": ("10 11" + CONNECT + "02 0000 04 16 0001 78 0000", PROTOCOL),
    "connect without the password it announces": ("10 0e" + CONNECT + "42 0000 00 0001 61", MALFORMED),
    "connect with bytes left over": ("10 0f" + CONNECT + "02 0000 00 0001 61 00", MALFORMED),
    "publish with no properties' length": ("30 03 0001 61", MALFORMED),
    "publish with a properties' length longer than needed": ("30 05 0001 61 8000", MALFORMED),
    "publish with a properties' length of five bytes": ("30 08 0001 61 8080808001", MALFORMED),
    "publish cut inside its properties": ("30 05 0001 61 03 23", MALFORMED),
    "publish whose property is longer than all": ("30 08 0001 61 03 03 0003 61", MALFORMED),
    "publish with an empty topic and no alias": ("30 03 0000 00", PROTOCOL),
    "publish with a wildcard beside an alias": ("30 07 0001 23 03 23 0001", ReasonCode.TOPIC_NAME_INVALID),
    "publish with topic alias 0": ("30 07 0001 61 03 23 0000", ReasonCode.TOPIC_ALIAS_INVALID),
    "publish with a subscription identifier": ("30 06 0001 61 02 0b01", PROTOCOL),
    "publish of QoS 3": ("36 06 0001 61 0001 00", MALFORMED),
    "publish of QoS 0 marked as sent before": ("38 04 0001 61 00", MALFORMED),
    "publish with packet identifier 0": ("32 06 0001 61 0000 00", MALFORMED),
    "puback with a reserved flag": ("41 02 0001", MALFORMED),
    "puback with a reserved flag and a reason": ("41 03 0001 00", MALFORMED),
    "puback with packet identifier 0": ("40 02 0000", MALFORMED),
    "puback with packet identifier 0 and a reason": ("40 03 0000 00", MALFORMED),
    "puback that is too short": ("40 01 00", MALFORMED),
    "puback with bytes left over": ("40 05 0001 00 00 00", MALFORMED),
    "subscribe with wrong reserved flags": ("80 07 0001 00 0001 61 00", MALFORMED),
    "subscribe with no filter": ("82 03 0001 00", PROTOCOL),
    "subscribe with packet identifier 0": ("82 07 0000 00 0001 61 00", MALFORMED),
    "subscribe that asks for QoS 3": ("82 07 0001 00 0001 61 03", PROTOCOL),
    "subscribe with retain handling 3": ("82 07 0001 00 0001 61 30", PROTOCOL),
    "subscribe with reserved option 6": ("82 07 0001 00 0001 61 40", MALFORMED),
    "subscribe with reserved option 7": ("82 07 0001 00 0001 61 80", MALFORMED),
    "subscribe with no options": ("82 06 0001 00 0001 61", MALFORMED),
    "subscribe with two identifiers": ("82 0b 0001 04 0b01 0b02 0001 61 00", PROTOCOL),
    "subscribe to a share without own messages": ("82 10 0001 00 000a 2473686172652f672f23 04", PROTOCOL),
    "subscribe to a share with no name": (
        "82 0f 0001 00 0009 2473686172652f2f23 00",
        ReasonCode.TOPIC_FILTER_INVALID,
    ),
    "subscribe to a share with no filter": (
        "82 0e 0001 00 0008 2473686172652f67 00",
        ReasonCode.TOPIC_FILTER_INVALID,
    ),
    "subscribe to a share with an empty filter": (
        "82 0f 0001 00 0009 2473686172652f672f 00",
        ReasonCode.TOPIC_FILTER_INVALID,
    ),
    "subscribe to a share with a wildcard for a name": (
        "82 10 0001 00 000a 2473686172652f2b2f61 00",
        ReasonCode.TOPIC_FILTER_INVALID,
    ),
    "unsubscribe with wrong reserved flags": ("a0 06 0001 00 0001 61", MALFORMED),
    "unsubscribe with no filter": ("a2 03 0001 00", PROTOCOL),
    "unsubscribe from a share with no name": (
        "a2 0e 0001 00 0009 2473686172652f2f23",
        ReasonCode.TOPIC_FILTER_INVALID,
    ),
    "pingreq with a body": ("c0 01 00", MALFORMED),
    "disconnect with a reserved flag": ("e8 00", MALFORMED),
    "disconnect with bytes left over": ("e0 03 00 00 00", MALFORMED),
    "auth, which nobody was offered": ("f0 00", PROTOCOL),
}
BAD_FROM_SERVER: dict[str, tuple[str, ReasonCode]] = {
    "connack with a reserved header flag": ("21 03 000000", MALFORMED),
    "connack with reserved acknowledge flags": ("20 03 020000", MALFORMED),
    "connack with a session present in a refusal": ("20 03 018700", PROTOCOL),
    "connack of 3.1.1": ("20 02 0000", MALFORMED),
    "connack with a return code of 3.1.1": ("20 03 000500", MALFORMED),
    "connack with bytes left over": ("20 04 00000000", MALFORMED),
    "suback with a reserved flag": ("91 04 0001 00 00", MALFORMED),
    "suback with no code": ("90 03 0001 00", PROTOCOL),
    "suback with packet identifier 0": ("90 04 0000 00 00", MALFORMED),
    "unsuback with a reserved flag": ("b2 04 0001 00 00", MALFORMED),
    "unsuback with no code": ("b0 03 0001 00", PROTOCOL),
    "unsuback of 3.1.1": ("b0 02 0001", MALFORMED),
    "unsuback with packet identifier 0": ("b0 04 0000 00 00", MALFORMED),
    "pingresp with a body": ("d0 01 00", MALFORMED),
    "disconnect with a session expiry interval": ("e0 07 00 05 11 00000000", PROTOCOL),
    "auth, which nobody was offered": ("f0 00", PROTOCOL),
}
BAD = [
    pytest.param(kinds, bytes.fromhex(wire), code, id=name)
    for kinds, table in ((FROM_CLIENT, BAD_FROM_CLIENT), (FROM_SERVER, BAD_FROM_SERVER))
    for name, (wire, code) in table.items()
]


@pytest.mark.parametrize(("kinds", "wire", "code"), BAD)
def test_packet_that_breaks_the_protocol_is_refused_with_a_reason(kinds: Kinds, wire: bytes, code: ReasonCode) -> None:
    assert wire[1] == len(wire) - 2, "the frame itself is whole"
    decoder = Decoder(kinds, version=5)
    decoder.feed(wire)
    with pytest.raises(ProtocolError) as raised:
        decoder.next_packet()
    assert raised.value.code is code
