"""What the platform does with what devices say on their own `$oc` topics: a direct call, never a subscription."""

from broker.access.events import Events
from broker.access.payloads import number_of, parsed
from broker.access.topics import answered_request, is_event
from broker.commands import Commands
from broker.journal import Journal
from broker.sessions import Session
from broker.statistics import Statistics
from wire.mqtt import Publish


class Uplinks:
    """Journals sequence numbers, passes on the answers to requests, and has events looked at.

    Other messages without a number want nothing but their acknowledgement: reports of properties and messages, also
    with the suffix that says that they are compressed.
    """

    def __init__(self, commands: Commands, events: Events, journal: Journal, statistics: Statistics) -> None:
        self._commands = commands
        self._events = events
        self._journal = journal
        self._statistics = statistics

    def take(self, session: Session, message: Publish) -> None:
        self._statistics.uplinks += 1
        may_have_seq, tells_event = b'"seq"' in message.payload, is_event(session.device_id, message.topic)
        body = parsed(message.payload) if may_have_seq or tells_event else None
        seq = number_of(body) if may_have_seq else None
        if seq is not None:
            self._journal.uplink(session.device_id, message.qos, seq)
        if tells_event:
            self._events.take(session, body)
        elif asked := answered_request(session.device_id, message.topic):
            self._commands.answered(session, asked, parsed(message.payload))

    def abandon(self, session: Session) -> None:
        """The session is over: nothing more will come up on it."""
        self._commands.abandon(session)
