"""CoAP messages: aiocoap's codec, and the rules of RFC 7252 that it does not keep."""

from aiocoap import Code, Message, OptionNumber, Type
from aiocoap.error import UnparsableMessage

MAX_TOKEN = 8
PAYLOAD_MARKER = 0xFF

KNOWN_OPTIONS = frozenset(
    {
        OptionNumber.URI_HOST,
        OptionNumber.ETAG,
        OptionNumber.OBSERVE,
        OptionNumber.URI_PORT,
        OptionNumber.LOCATION_PATH,
        OptionNumber.URI_PATH,
        OptionNumber.CONTENT_FORMAT,
        OptionNumber.MAX_AGE,
        OptionNumber.URI_QUERY,
        OptionNumber.ACCEPT,
        OptionNumber.LOCATION_QUERY,
    }
)


class ProtocolError(Exception):
    """Bytes that are no CoAP; `mid` is the message id to reject them with, if they are a confirmable message's."""

    def __init__(self, message: str, mid: int | None = None) -> None:
        super().__init__(message)
        self.mid = mid


def decode(datagram: bytes) -> Message:
    """Read one message; raises ProtocolError for a message format error (RFC 7252 §3)."""
    if len(datagram) < 4 or datagram[0] >> 6 != 1:
        raise ProtocolError("no message of CoAP version 1")  # ignored in silence, whatever it is (§3)
    mid = int.from_bytes(datagram[2:4]) if datagram[0] & 0x30 == Type.CON << 4 else None
    token_length = datagram[0] & 0x0F
    if token_length > MAX_TOKEN or len(datagram) < 4 + token_length:
        raise ProtocolError(f"a token of {token_length} bytes", mid)
    if datagram[1] == Code.EMPTY and len(datagram) > 4:
        raise ProtocolError("an empty message with something in it", mid)
    try:
        message: Message = Message.decode(datagram)
    except (UnparsableMessage, UnicodeDecodeError) as error:
        raise ProtocolError(str(error), mid) from None
    if not message.payload and len(datagram) > 4 + token_length and _ends_with_marker(message, datagram):
        raise ProtocolError("a payload marker without a payload", mid)
    return message


def encode(message: Message) -> bytes:
    data: bytes = message.encode()
    return data


def unknown_critical_option(message: Message) -> int | None:
    """Return the number of an option that must be understood and is not (§5.4.1), or None."""
    for option in message.opt.option_list():
        if option.number & 1 and option.number not in KNOWN_OPTIONS:
            return int(option.number)
    return None


def _ends_with_marker(message: Message, datagram: bytes) -> bool:
    """Tell an empty payload from an option whose value ends with the marker's byte."""
    return datagram[-1] == PAYLOAD_MARKER and len(datagram) > 4 + len(message.token) + len(message.opt.encode())
