"""The devices of a platform: a table on a terminal, plain lines for other programs. Never a secret."""

from collections.abc import Sequence
from typing import Any

import orjson
from rich import box
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

Entry = dict[str, Any]

COLUMNS = ("device", "product", "protocol", "session", "primary", "secondary")


def print_devices(console: Console, entries: Sequence[Entry]) -> None:
    """Print one device a line: its session's slot and secret version, and version and fingerprint of its secrets."""
    rows = [_row(entry) for entry in entries]
    if not console.is_terminal:
        _print_lines(console, [" ".join(row) for row in rows])
        return
    columns = (Column(name, overflow="fold") for name in COLUMNS)
    table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), caption=f"{len(rows)} devices")
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)


def print_devices_as_json(console: Console, entries: Sequence[Entry]) -> None:
    """Print one JSON object a line."""
    _print_lines(console, [orjson.dumps(entry).decode() for entry in entries])


def _print_lines(console: Console, lines: Sequence[str]) -> None:
    if lines:
        console.out("\n".join(lines), highlight=False)


def _row(entry: Entry) -> tuple[str, ...]:
    """One word a column, so that a line can be cut into them again."""
    return (
        entry["device_id"],
        entry["product_id"] or "-",
        entry["protocol"],
        _session(entry),
        _secret(entry["primary"]),
        _secret(entry["secondary"]),
    )


def _session(entry: Entry) -> str:
    session, registration = entry["session"], entry.get("registration")
    if session is not None:
        return f"{session['slot']}:v{session['secret_version']}"
    if registration is not None:
        version = registration["secret_version"]
        return "in-the-clear" if version is None else f"primary:v{version}"
    return "frozen" if entry["frozen"] else "offline"


def _secret(secret: Entry | None) -> str:
    return f"v{secret['version']}:{secret['fingerprint']}" if secret else "-"
