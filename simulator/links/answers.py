"""What the platform's answer to a CONNECT means for a device. Pure."""

from simulator.device.events import Accepted, Cause, Refused, Unreachable
from wire.mqtt import ConnAck

ACCEPTED = 0
SERVER_UNAVAILABLE = 3

# MQTT 3.1.1 §3.2.2.3. Only 4 speaks of the credentials.
CAUSES = {1: Cause.CONFIG, 2: Cause.CONFIG, 4: Cause.CREDENTIAL, 5: Cause.NOT_ALLOWED}


def outcome(attempt: int, answer: ConnAck) -> Accepted | Refused | Unreachable:
    """Accepted, refused and why, or, when the platform is busy, unreachable: that blames nobody."""
    if answer.code == ACCEPTED:
        return Accepted(attempt)
    if answer.code == SERVER_UNAVAILABLE:
        return Unreachable(attempt, "server unavailable (3)")
    return Refused(attempt, CAUSES.get(answer.code, Cause.CONFIG), answer.code)
