"""One device's story, line by line, from both journals."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

Record = dict[str, Any]

_DEVICE: dict[str, Callable[[Record], str]] = {
    "action": lambda r: f"step {r['step']}: {r['verb']}",
    "opened": lambda r: f"attempt {r['attempt']} with {_secret(r)}",
    "accepted": lambda r: f"accepted on {_secret(r)}",
    "refused": lambda r: f"refused ({r['cause']}, code {r['code']}) on {_secret(r)}",
    "unreachable": lambda r: f"unreachable: {r['reason']}",
    "lost": lambda r: f"link lost: {r['reason']}",
    "recovered": lambda _: "recovered",
    "asleep": lambda _: "fell asleep: it hears nothing",
    "awake": lambda _: "woke up",
    "state": lambda r: r["state"].replace("_", " "),
    "issued": lambda r: f"was given {_secret(r)}",
    "received": lambda r: f"received command {r['name']}",
    "crash": lambda r: "crashed: " + r["traceback"].strip().rsplit("\n", 1)[-1],
}
_RUNNER: dict[str, Callable[[Record], str]] = {
    "reset": lambda r: f"reset {r['slot']} to {r['fingerprint'] or 'a generated secret'}: {r['state']}",
}
_PLATFORM: dict[str, Callable[[Record], str]] = {
    "accepted": lambda r: f"took it: {r['slot']} version {r['version']}",
    "refused": lambda r: f"refused it: {r['reason'].replace('_', ' ')} (code {r['code']})",
    "detached": lambda r: f"session ended: {r['reason'].replace('_', ' ')}",
    "cut_confirmed": lambda r: f"{r['via']} has cut it, {r['took_s']:.3f} s after it was asked to",
    "stray_cut": lambda r: f"{r['via']} was told to cut a connection of an earlier run",
    "handshake_failed": lambda r: f"refused the handshake: {r['reason'].replace('_', ' ')}",
    "registered": lambda r: "registered it" + (f": primary version {r['version']}" if r["secure"] else " in the clear"),
    "unregistered": lambda r: f"registration ended: {r['reason'].replace('_', ' ')}",
    "async_command": lambda r: f"command {r['status'].lower()}",
    "reset": lambda r: f"{r['slot']} is now version {r['version']}" + _cut(r),
    "frozen": lambda _: "frozen",
    "unfrozen": lambda _: "unfrozen",
}


def device_lines(
    device_id: str, device_records: Iterable[Record], platform_records: Iterable[Record]
) -> list[tuple[float, str, str]]:
    """(time, who, what) of everything that concerns one device, in the order it happened."""
    lines = [
        *_lines(device_id, device_records, (("device", _DEVICE), ("runner", _RUNNER))),
        *_lines(device_id, platform_records, (("platform", _PLATFORM),)),
    ]
    return sorted(lines, key=lambda line: line[0])


def _lines(
    device_id: str, records: Iterable[Record], voices: tuple[tuple[str, dict[str, Callable[[Record], str]]], ...]
) -> Iterator[tuple[float, str, str]]:
    for record in records:
        if record.get("device") != device_id:
            continue
        for who, told in voices:
            if tell := told.get(record["kind"]):
                yield record["t"], who, tell(record)


def _cut(record: Record) -> str:
    if record["cut"]:
        return ", session cut"
    return f"; {record['warning']}" if "warning" in record else ""


def _secret(record: Record) -> str:
    return f"{record['slot']} {record['fingerprint']}" if record["fingerprint"] else "no secret"
