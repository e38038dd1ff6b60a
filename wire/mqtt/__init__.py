"""MQTT 3.1.1 for QoS 0 and 1, both roles, sans I/O.

Feed what a socket gave to a `Decoder` and take packets out; call `encode()` on a packet to get what a socket
wants. Decoding raises ProtocolError and nothing else; encoding raises ValueError for what cannot be put into
bytes. Passwords and payloads never show in a repr.
"""

from wire.mqtt.connect import ConnAck, Connect, Disconnect, PingReq, PingResp, Will
from wire.mqtt.decoder import FROM_CLIENT, FROM_SERVER, Decoder, Packet
from wire.mqtt.primitives import ProtocolError, UnsupportedVersion
from wire.mqtt.publish import PubAck, Publish
from wire.mqtt.subscribe import SubAck, Subscribe, UnsubAck, Unsubscribe
from wire.mqtt.topics import filter_error, matches, topic_error

__all__ = [
    "FROM_CLIENT",
    "FROM_SERVER",
    "ConnAck",
    "Connect",
    "Decoder",
    "Disconnect",
    "Packet",
    "PingReq",
    "PingResp",
    "ProtocolError",
    "PubAck",
    "Publish",
    "SubAck",
    "Subscribe",
    "UnsubAck",
    "Unsubscribe",
    "UnsupportedVersion",
    "Will",
    "filter_error",
    "matches",
    "topic_error",
]
