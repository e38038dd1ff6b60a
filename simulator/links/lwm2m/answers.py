"""What the platform's answers mean for a device, and why a handshake failed. Pure."""

from simulator.device.events import Accepted, Cause, LinkEvent, LinkLost, Refused, Unreachable
from simulator.links.lwm2m.client import Matter
from wire.coap import Code
from wire.dtls import End, Session

# RFC 7252 §5.9.2, RFC 8516; who answers 4.01 or 4.03 knows the device and does not want it. What is not named here is
# taken for a fault of our configuration: 4.00 is a bad query, 4.12 a version that is not spoken.
NOT_ALLOWED = {Code.UNAUTHORIZED, Code.FORBIDDEN}
BUSY = {Code.SERVICE_UNAVAILABLE, Code.TOO_MANY_REQUESTS, Code.GATEWAY_TIMEOUT}

BLAMED = {End.WRONG_KEY, End.UNKNOWN_IDENTITY}
"""How a handshake ends when the platform does not take the key: as with a password, it is not told what was wrong."""


def outcome(attempt: int, matter: Matter, code: Code) -> LinkEvent | None:
    """Tell what an answer does to the link; None for nothing."""
    if code.is_successful():
        return Accepted(attempt) if matter is Matter.REGISTRATION else None
    said = f"{code.name_printable} ({code.dotted})".lower()
    if code in BUSY:
        return Unreachable(attempt, said) if matter is Matter.REGISTRATION else LinkLost(attempt, said)
    if code is Code.NOT_FOUND and matter is Matter.UPDATE:
        return LinkLost(attempt, "the platform does not know the registration any more (4.04)")
    return Refused(attempt, Cause.NOT_ALLOWED if code in NOT_ALLOWED else Cause.CONFIG, code.dotted)


def handshake_outcome(attempt: int, session: Session) -> Refused | Unreachable:
    """Tell why a handshake came to nothing; the code of a refusal is that of the alert."""
    if session.end in BLAMED and session.alert is not None:
        return Refused(attempt, Cause.CREDENTIAL, session.alert)
    return Unreachable(attempt, f"the handshake failed: {session.end}")
