"""What the platform reads of a payload, which belongs to its sender and its receiver."""

from typing import Any

import orjson

from broker.journal import plain_integer

Json = Any
"""Whatever somebody sent."""


def parsed(payload: bytes) -> Json:
    """Return the payload as JSON; None if it is none."""
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None


def sequence_number(payload: bytes) -> int | None:
    """Return the 64-bit integer `seq` at the top of a JSON payload, if it has one."""
    if b'"seq"' not in payload:
        return None
    body = parsed(payload)
    return plain_integer(body.get("seq")) if isinstance(body, dict) else None
