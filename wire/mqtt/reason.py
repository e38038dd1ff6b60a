"""Reason codes of MQTT 5.0 (§2.4): what each is called, and which packet may carry it."""

from collections.abc import Mapping
from enum import IntEnum


class ReasonCode(IntEnum):
    """Table 2-6. Below 0x80 is success; 0x00 has three names."""

    SUCCESS = 0x00
    NORMAL_DISCONNECTION = 0x00
    GRANTED_QOS_0 = 0x00
    GRANTED_QOS_1 = 0x01
    GRANTED_QOS_2 = 0x02
    DISCONNECT_WITH_WILL_MESSAGE = 0x04
    NO_MATCHING_SUBSCRIBERS = 0x10
    NO_SUBSCRIPTION_EXISTED = 0x11
    CONTINUE_AUTHENTICATION = 0x18
    RE_AUTHENTICATE = 0x19
    UNSPECIFIED_ERROR = 0x80
    MALFORMED_PACKET = 0x81
    PROTOCOL_ERROR = 0x82
    IMPLEMENTATION_SPECIFIC_ERROR = 0x83
    UNSUPPORTED_PROTOCOL_VERSION = 0x84
    CLIENT_IDENTIFIER_NOT_VALID = 0x85
    BAD_USER_NAME_OR_PASSWORD = 0x86
    NOT_AUTHORIZED = 0x87
    SERVER_UNAVAILABLE = 0x88
    SERVER_BUSY = 0x89
    BANNED = 0x8A
    SERVER_SHUTTING_DOWN = 0x8B
    BAD_AUTHENTICATION_METHOD = 0x8C
    KEEP_ALIVE_TIMEOUT = 0x8D
    SESSION_TAKEN_OVER = 0x8E
    TOPIC_FILTER_INVALID = 0x8F
    TOPIC_NAME_INVALID = 0x90
    PACKET_IDENTIFIER_IN_USE = 0x91
    PACKET_IDENTIFIER_NOT_FOUND = 0x92
    RECEIVE_MAXIMUM_EXCEEDED = 0x93
    TOPIC_ALIAS_INVALID = 0x94
    PACKET_TOO_LARGE = 0x95
    MESSAGE_RATE_TOO_HIGH = 0x96
    QUOTA_EXCEEDED = 0x97
    ADMINISTRATIVE_ACTION = 0x98
    PAYLOAD_FORMAT_INVALID = 0x99
    RETAIN_NOT_SUPPORTED = 0x9A
    QOS_NOT_SUPPORTED = 0x9B
    USE_ANOTHER_SERVER = 0x9C
    SERVER_MOVED = 0x9D
    SHARED_SUBSCRIPTIONS_NOT_SUPPORTED = 0x9E
    CONNECTION_RATE_EXCEEDED = 0x9F
    MAXIMUM_CONNECT_TIME = 0xA0
    SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED = 0xA1
    WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED = 0xA2


ReasonCodes = Mapping[int, ReasonCode]


def _codes(text: str) -> ReasonCodes:
    return {code: ReasonCode(code) for code in bytes.fromhex(text)}


CONNACK_CODES = _codes("00 80 81 82 83 84 85 86 87 88 89 8a 8c 90 95 97 99 9a 9b 9c 9d 9f")  # [MQTT-3.2.2-8]
PUBACK_CODES = _codes("00 10 80 83 87 90 91 97 99")  # [MQTT-3.4.2-1]
PUBREL_CODES = _codes("00 92")  # [MQTT-3.6.2-1]
SUBACK_CODES = _codes("00 01 02 80 83 87 8f 91 97 9e a1 a2")  # [MQTT-3.9.3-2]
UNSUBACK_CODES = _codes("00 11 80 83 87 8f 91")  # [MQTT-3.11.3-2]
DISCONNECT_CODES = _codes(  # [MQTT-3.14.2-1]
    "00 04 80 81 82 83 87 89 8b 8d 8e 8f 90 93 94 95 96 97 98 99 9a 9b 9c 9d 9e 9f a0 a1 a2"
)


def encode_reason(codes: ReasonCodes, code: int) -> bytes:
    """Encode a reason code that the packet whose `codes` are given may carry."""
    if code not in codes:
        raise ValueError(f"reason code {code:#04x}, which this packet cannot carry")
    return bytes((code,))
