"""What the platform does with what devices say on their own `$oc` topics: a direct call, never a subscription."""

import orjson

from broker.access.topics import answered_request
from broker.commands import Commands, Json
from broker.journal import Journal, plain_integer
from broker.sessions import Session
from broker.statistics import Statistics
from wire.mqtt import Publish


class Uplinks:
    """Journals sequence numbers and passes on the answers to commands.

    A message is numbered by the 64-bit integer `seq` at the top of its JSON payload. Other messages, the device's
    connect event among them, want nothing but their acknowledgement.
    """

    def __init__(self, commands: Commands, journal: Journal, statistics: Statistics) -> None:
        self._commands = commands
        self._journal = journal
        self._statistics = statistics

    def take(self, session: Session, message: Publish) -> None:
        self._statistics.uplinks += 1
        seq = _sequence_number(message.payload)
        if seq is not None:
            self._journal.uplink(session.device_id, message.qos, seq)
        request_id = answered_request(session.device_id, message.topic)
        if request_id is not None:
            self._commands.answered(session, request_id, _json(message.payload))


def _sequence_number(payload: bytes) -> int | None:
    if b'"seq"' not in payload:
        return None
    body = _json(payload)
    return plain_integer(body.get("seq")) if isinstance(body, dict) else None


def _json(payload: bytes) -> Json:
    """Return the payload as JSON; None if it is none."""
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None
