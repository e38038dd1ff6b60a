"""What the platform does with what devices say on their own `$oc` topics: a direct call, never a subscription."""

from broker.access.payloads import parsed, sequence_number
from broker.access.topics import answered_request
from broker.commands import Commands
from broker.journal import Journal
from broker.sessions import Session
from broker.statistics import Statistics
from wire.mqtt import Publish


class Uplinks:
    """Journals sequence numbers and passes on the answers to commands.

    Messages without a number, the device's connect event among them, want nothing but their acknowledgement.
    """

    def __init__(self, commands: Commands, journal: Journal, statistics: Statistics) -> None:
        self._commands = commands
        self._journal = journal
        self._statistics = statistics

    def take(self, session: Session, message: Publish) -> None:
        self._statistics.uplinks += 1
        seq = sequence_number(message.payload)
        if seq is not None:
            self._journal.uplink(session.device_id, message.qos, seq)
        request_id = answered_request(session.device_id, message.topic)
        if request_id is not None:
            self._commands.answered(session, request_id, parsed(message.payload))
