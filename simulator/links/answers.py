"""What the platform's answer to a CONNECT means for a device, and why it ends a connection. Pure."""

from simulator.device.events import Accepted, Cause, Refused, Unreachable
from wire.mqtt import ConnAck, ReasonCode

MQTT_5 = 5

# MQTT 3.1.1 §3.2.2.3. Only 4 speaks of the credentials; 3 blames nobody.
CAUSES = {1: Cause.CONFIG, 2: Cause.CONFIG, 4: Cause.CREDENTIAL, 5: Cause.NOT_ALLOWED}
BUSY: set[int] = {3}

# MQTT 5.0 §3.2.2.2; what is not named here is taken for a fault of our configuration.
CAUSES_5: dict[int, Cause] = {
    ReasonCode.BAD_USER_NAME_OR_PASSWORD: Cause.CREDENTIAL,
    ReasonCode.NOT_AUTHORIZED: Cause.NOT_ALLOWED,
    ReasonCode.BANNED: Cause.NOT_ALLOWED,
}
BUSY_5: set[int] = {
    ReasonCode.SERVER_UNAVAILABLE,
    ReasonCode.SERVER_BUSY,
    ReasonCode.QUOTA_EXCEEDED,
    ReasonCode.CONNECTION_RATE_EXCEEDED,
}


def outcome(attempt: int, answer: ConnAck, level: int = 4) -> Accepted | Refused | Unreachable:
    """Accepted, refused and why, or, when the platform is busy, unreachable: that blames nobody."""
    if answer.code == 0:
        return Accepted(attempt, answer.session_present)
    causes, busy = (CAUSES_5, BUSY_5) if level == MQTT_5 else (CAUSES, BUSY)
    if answer.code in busy:
        return Unreachable(attempt, f"server unavailable ({int(answer.code)})")
    return Refused(attempt, causes.get(answer.code, Cause.CONFIG), int(answer.code))


def disconnect_reason(code: int) -> str:
    """In words, why the platform sent DISCONNECT (MQTT 5.0 §3.14.2.1)."""
    return f"{ReasonCode(code).name.replace('_', ' ').lower()} ({code:#04x})"
