"""CoAP (RFC 7252) with observation (RFC 7641), without any I/O: aiocoap's codec, and one peer's side of a conversation.

Block-wise transfer is not part of it: what the devices say fits into a datagram.
"""

from aiocoap import Code, Message, Type

from wire.coap.exchanges import Acknowledged, Event, Failed, Failure, Rejected, Request, Response
from wire.coap.messages import ProtocolError, decode, encode
from wire.coap.peer import CoapPeer

__all__ = [
    "Acknowledged",
    "CoapPeer",
    "Code",
    "Event",
    "Failed",
    "Failure",
    "Message",
    "ProtocolError",
    "Rejected",
    "Request",
    "Response",
    "Type",
    "decode",
    "encode",
]
