"""CoAP messages: aiocoap's, with its options, read by the rules of RFC 7252 that its own decoder does not keep."""

from aiocoap import Code, Message, OptionNumber, Type
from aiocoap.message import Direction
from aiocoap.options import Options

MAX_TOKEN = 8
PAYLOAD_MARKER = 0xFF
EXTENDED = 13

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


MAX_OPTIONS, MAX_OPTION_NUMBER = 64, 0xFFFF
"""aiocoap remembers for ever every option number, and every content format, that it has met: both are bounded here."""

MAX_LENGTHS: dict[int, int] = {
    OptionNumber.OBSERVE: 3,
    OptionNumber.URI_PORT: 2,
    OptionNumber.CONTENT_FORMAT: 2,
    OptionNumber.MAX_AGE: 4,
    OptionNumber.ACCEPT: 2,
}
"""How long a number may be (RFC 7252 §5.10, RFC 7641 §2); one that is longer is no number of anybody's."""


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
    message = Message(code=datagram[1])
    message.mtype, message.mid = Type(datagram[0] >> 4 & 3), int.from_bytes(datagram[2:4])
    message.direction = Direction.INCOMING
    message.token = datagram[4 : 4 + token_length]
    try:
        message.payload = _read_options(message.opt, datagram, 4 + token_length)
    except ValueError as error:
        raise ProtocolError(str(error), mid) from None
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


def _read_options(options: Options, datagram: bytes, at: int) -> bytes:
    """Read the options, from `at` on (§3.1), and return the payload; raises ValueError for what no message holds."""
    number = count = 0
    while at < len(datagram) and datagram[at] != PAYLOAD_MARKER:
        delta, length, at = datagram[at] >> 4, datagram[at] & 0x0F, at + 1
        if delta >= EXTENDED:
            delta, at = _extended(datagram, delta, at)
        if length >= EXTENDED:
            length, at = _extended(datagram, length, at)
        number, end, count = number + delta, at + length, count + 1
        if number > MAX_OPTION_NUMBER or count > MAX_OPTIONS or end > len(datagram):
            raise ValueError("an option that is none, or one too many")
        if length > MAX_LENGTHS.get(number, length):
            raise ValueError(f"an option {number} of {length} bytes")
        options.add_option(OptionNumber(number).create_option(decode=datagram[at:end]))
        at = end
    if at == len(datagram) - 1:
        raise ValueError("a payload marker without a payload")
    return datagram[at + 1 :]


def _extended(datagram: bytes, nibble: int, at: int) -> tuple[int, int]:
    """Return the number of which a nibble says that it is in the bytes behind, and where it ends."""
    extra = nibble - EXTENDED + 1
    if extra > 2 or at + extra > len(datagram):
        raise ValueError("an option that is cut off")
    return (13, 269)[extra - 1] + int.from_bytes(datagram[at : at + extra]), at + extra
