"""The devices that a keyturn platform knows."""

from typing import Any

from simulator.control import Control
from simulator.errors import UsageError
from simulator.ledger import Identity

Entry = dict[str, Any]


async def registered(control: Control, *, secrets: bool = False) -> list[Entry]:
    """Ask a keyturn platform for its devices; UsageError when it does not tell."""
    answer = await control.devices(secrets=secrets)
    entries = answer.body.get("devices")
    if not answer.ok or not isinstance(entries, list):
        raise UsageError(f"{control.api} did not list its devices ({answer.problem}); expected a keyturn platform")
    return entries


async def registered_identities(control: Control) -> list[Identity]:
    """Ask a keyturn platform for its devices with their secrets: what it takes to register them again."""
    return [_identity(entry) for entry in await registered(control, secrets=True)]


def _identity(entry: Entry) -> Identity:
    secondary = entry["secondary"]
    return Identity(
        entry["device_id"],
        entry["primary"]["secret"],
        secondary["secret"] if secondary else None,
        product_id=entry["product_id"],
        node_id=entry["node_id"],
        protocol=entry["protocol"],
        secure_access=entry["secure_access"],
    )
