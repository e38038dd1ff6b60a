"""Devices that a user already has: read from CSV or JSON, written as one JSON object a line."""

import csv
import io
import os
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

from simulator.errors import UsageError
from simulator.ledger import Identity

DEVICE_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
SECRET = re.compile(r"[A-Za-z0-9_-]{8,32}")
COLUMNS = ("device_id", "primary", "secondary")
MORE_TEXTS = ("product_id", "node_id", "protocol")
JSON_SUFFIXES = (".json", ".ndjson", ".jsonl")


def read_identities(path: Path) -> list[Identity]:
    """Read device_id, primary and (may be empty) secondary of every device; UsageError names the bad row.

    product_id, node_id, protocol and secure_access may be there too. CSV has these names in its first line; JSON is a
    list of objects, or one object a line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as text: {error}") from error
    rows = _json_rows(path, text) if path.suffix.lower() in JSON_SUFFIXES else _csv_rows(path, text)
    identities = [_identity(f"{path}: device {number}", row) for number, row in enumerate(rows, 1)]
    if not identities:
        raise UsageError(f"{path}: no device in it; expected at least one")
    rows_of: dict[str, int] = {}
    for number, identity in enumerate(identities, 1):
        if number != rows_of.setdefault(identity.device_id, number):
            raise UsageError(f"{path}: devices {rows_of[identity.device_id]} and {number} have the same device_id")
    return identities


def write_identities(path: Path, identities: Iterable[Identity], *, overwrite: bool) -> None:
    """Write devices and their secrets for `read_identities`, whole or not at all, and for this user's eyes only.

    UsageError: what cannot be written, or is there already and may not be overwritten.
    """
    if path.suffix.lower() not in JSON_SUFFIXES:
        raise UsageError(f"{path}: expected a name that ends with {', '.join(JSON_SUFFIXES)}, so that it can be read")
    try:
        handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # of mode 0600
        try:
            with open(handle, "wb") as file:
                file.writelines(orjson.dumps(one, option=orjson.OPT_APPEND_NEWLINE) for one in identities)
            (os.replace if overwrite else os.link)(draft, path)
        finally:
            Path(draft).unlink(missing_ok=True)
    except FileExistsError:
        raise UsageError(f"{path}: there is such a file already; expected a new one, or --force") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from error


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
    return Identity(device_id, str(primary), secondary, **_more(where, row))


def _more(where: str, row: dict[str, Any]) -> dict[str, Any]:
    """What else a row says of its device, as far as the platform needs to be told."""
    more = {name: row[name] for name in MORE_TEXTS if row.get(name)}
    if wrong := [name for name, value in more.items() if not isinstance(value, str)]:
        raise UsageError(f"{where}: bad {wrong[0]}, expected text")
    secure = str(row.get("secure_access") or "false").lower()
    if secure not in ("true", "false"):
        raise UsageError(f"{where}: bad secure_access, expected true or false")
    return {**more, "secure_access": secure == "true"}
