"""The devices as the administration lists them: secrets by their fingerprints, or whole for who asks for them."""

from broker.auth.registry import Device, Secret
from broker.errors import InvalidInput
from broker.sessions import Session


def wants_secrets(written: str) -> bool:
    """Read the query's `secrets`; raises InvalidInput unless it says plainly what is wanted."""
    if written not in ("true", "false"):
        raise InvalidInput("secrets: expected true or false")
    return written == "true"


def listed(device: Device, session: Session | None, *, secrets: bool) -> dict[str, object]:
    """One device with its live session; `secrets`: not only their fingerprints."""
    return {
        "device_id": device.device_id,
        "product_id": device.product_id,
        "node_id": device.node_id,
        "protocol": device.protocol,
        "secure_access": device.secure_access,
        "frozen": device.frozen,
        "session": {"slot": session.slot, "secret_version": session.version} if session else None,
        "primary": _listed_secret(device.primary, whole=secrets),
        "secondary": _listed_secret(device.secondary, whole=secrets) if device.secondary else None,
    }


def _listed_secret(secret: Secret, *, whole: bool) -> dict[str, object]:
    known: dict[str, object] = {"version": secret.version, "fingerprint": secret.fingerprint}
    return {**known, "secret": secret.value} if whole else known
