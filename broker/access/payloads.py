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


def number_of(body: Json) -> int | None:
    """Return the 64-bit integer `seq` at the top of a JSON body, if it has one."""
    return plain_integer(body.get("seq")) if isinstance(body, dict) else None


def sequence_number(payload: bytes) -> int | None:
    """Return the `seq` of a payload that is JSON and has one."""
    return number_of(parsed(payload)) if b'"seq"' in payload else None
