"""Devices that a user already has: read from CSV or JSON."""

import csv
import io
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

from simulator.errors import UsageError
from simulator.ledger import Identity

DEVICE_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
SECRET = re.compile(r"[A-Za-z0-9_-]{8,32}")
COLUMNS = ("device_id", "primary", "secondary")


def read_identities(path: Path) -> list[Identity]:
    """Read device_id, primary and (may be empty) secondary of every device; UsageError names the bad row.

    CSV has these names in its first line; JSON is a list of objects, or one object a line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as text: {error}") from error
    rows = _json_rows(path, text) if path.suffix in (".json", ".ndjson", ".jsonl") else _csv_rows(path, text)
    identities = [_identity(f"{path}: device {number}", row) for number, row in enumerate(rows, 1)]
    if not identities:
        raise UsageError(f"{path}: no device in it; expected at least one")
    rows_of: dict[str, int] = {}
    for number, identity in enumerate(identities, 1):
        if number != rows_of.setdefault(identity.device_id, number):
            raise UsageError(f"{path}: devices {rows_of[identity.device_id]} and {number} have the same device_id")
    return identities


def _csv_rows(path: Path, text: str) -> Iterable[dict[str, Any]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        missing = [column for column in COLUMNS[:2] if column not in (reader.fieldnames or ())]
        if missing:
            raise UsageError(f"{path}:1: no column {' or '.join(missing)}; expected {','.join(COLUMNS)}")
        return list(reader)
    except csv.Error as error:
        raise UsageError(f"{path}:{reader.line_num}: not CSV: {error}") from error


def _json_rows(path: Path, text: str) -> Iterable[dict[str, Any]]:
    if text.lstrip().startswith("["):
        rows = _parsed(str(path), text)
    else:
        lines = enumerate(io.StringIO(text), 1)
        rows = [_parsed(f"{path}:{number}", line) for number, line in lines if line.strip()]
    if not all(isinstance(row, dict) for row in rows):
        raise UsageError(f"{path}: expected a list of objects with {', '.join(COLUMNS)}")
    return list(rows)


def _parsed(where: str, text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{where}: not JSON: {error}") from error


def _identity(where: str, row: dict[str, Any]) -> Identity:
    """Check one row; nothing of it is ever quoted, because columns get swapped and quotes forgotten."""
    device_id, primary, secondary = row.get("device_id"), row.get("primary"), row.get("secondary")
    if secondary == "":
        secondary = None
    if not isinstance(device_id, str) or not DEVICE_ID.fullmatch(device_id):
        raise UsageError(f"{where}: bad device_id, expected 1 to 128 of letters, digits, '_' and '-'")
    for slot, secret in (("primary", primary), ("secondary", secondary)):
        if secret is None and slot == "secondary":
            continue
        if not isinstance(secret, str) or not SECRET.fullmatch(secret):
            raise UsageError(f"{where}: bad {slot} secret, expected 8 to 32 of A-Z a-z 0-9 _ -")
    return Identity(device_id, str(primary), secondary)
