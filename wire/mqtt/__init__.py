"""MQTT 3.1.1 and 5.0, both roles, sans I/O.

Feed what a socket gave to a `Decoder` and take packets out, or to a `Framer` and take them as they came; call
`encode()` on a packet to get what a socket wants: `encode(5)` for MQTT 5.0. Decoding raises ProtocolError and
nothing else; encoding raises ValueError for what cannot be put into bytes, and leaves out what 3.1.1 has no bytes
for: properties, reasons, subscription options. Passwords and payloads never show in a repr.

Marks like [MQTT-3.1.2-3] are the conformance statements of 3.1.1, or of 5.0 where the rule is 5.0's alone.
Enhanced authentication (AUTH) is not offered: it is an unexpected packet type.
"""

from wire.mqtt.connect import Connect, Will
from wire.mqtt.connection import ConnAck, Disconnect, PingReq, PingResp
from wire.mqtt.decoder import FROM_ANY_CLIENT, FROM_CLIENT, FROM_SERVER, Decoder, Packet
from wire.mqtt.framer import Framer, packet_id_of, read_frame, with_packet_id
from wire.mqtt.primitives import PacketType, ProtocolError, UnsupportedVersion, largest_body, packet_size
from wire.mqtt.properties import NO_PROPERTIES, Properties
from wire.mqtt.publish import PubAck, PubComp, Publish, PubRec, PubRel
from wire.mqtt.reason import ReasonCode
from wire.mqtt.subscribe import SubAck, Subscribe, SubscriptionOptions, UnsubAck, Unsubscribe
from wire.mqtt.topics import filter_error, matches, topic_error

__all__ = [
    "FROM_ANY_CLIENT",
    "FROM_CLIENT",
    "FROM_SERVER",
    "NO_PROPERTIES",
    "ConnAck",
    "Connect",
    "Decoder",
    "Disconnect",
    "Framer",
    "Packet",
    "PacketType",
    "PingReq",
    "PingResp",
    "Properties",
    "ProtocolError",
    "PubAck",
    "PubComp",
    "PubRec",
    "PubRel",
    "Publish",
    "ReasonCode",
    "SubAck",
    "Subscribe",
    "SubscriptionOptions",
    "UnsubAck",
    "Unsubscribe",
    "UnsupportedVersion",
    "Will",
    "filter_error",
    "largest_body",
    "matches",
    "packet_id_of",
    "packet_size",
    "read_frame",
    "topic_error",
    "with_packet_id",
]
