"""Links without a network: a test plays the platform."""

import functools
from dataclasses import dataclass, field

from simulator.credentials import MqttCredentials
from simulator.device.events import Accepted, Cause, LinkEvent, LinkLost, Refused, Unreachable
from simulator.links.link import LinkOwner
from simulator.links.outbox import Outbox, as_publish
from simulator.scheduler import Scheduler
from wire.mqtt import Publish


@dataclass(slots=True, eq=False)
class MemoryLink:
    """One attempt. `sent` is what the device published, `filters` what it subscribed to."""

    engine: "MemoryEngine"
    owner: LinkOwner
    attempt: int
    credentials: MqttCredentials
    outbox: Outbox
    sent: list[Publish] = field(default_factory=list)
    filters: list[tuple[str, int]] = field(default_factory=list)
    accepted: bool = False
    ended: bool = False

    # -- what the device does

    def publish(self, topic: str, payload: bytes) -> None:
        if not self.ended:
            self.sent.append(Publish(topic, payload))

    def send_due(self) -> None:
        due = self.outbox.due() if self.accepted and not self.ended else []
        if due:
            self.sent += map(as_publish, due)
            self.owner.messages_sent(due)

    def subscribe(self, topic_filter: str, qos: int) -> None:
        if not self.ended:
            self.filters.append((topic_filter, qos))

    def close(self) -> None:
        self._end()

    def cut(self, reason: str) -> None:
        if not self.ended:
            self._end()
            event = LinkLost(self.attempt, reason) if self.accepted else Unreachable(self.attempt, reason)
            self.engine.scheduler.at(self.engine.scheduler.now(), functools.partial(self.owner.link_event, event))

    # -- what the platform does

    def accept(self) -> None:
        """Accept the CONNECT, for a new session."""
        assert not self.ended, "nobody is there to accept"
        self.accepted = True
        self.outbox.resume(session_present=False)
        self.tell(Accepted(self.attempt))
        self.send_due()

    def refuse(self, cause: Cause = Cause.CREDENTIAL, code: int = 4) -> None:
        self._end()
        self.tell(Refused(self.attempt, cause, code))

    def vanish(self, reason: str = "gone") -> None:
        """End the connection, before or after the CONNACK."""
        self._end()
        self.tell(LinkLost(self.attempt, reason) if self.accepted else Unreachable(self.attempt, reason))

    def acknowledge(self, *published: Publish) -> None:
        """Answer publishes, or all that were sent, with PUBACK."""
        for publish in published or tuple(self.sent):
            message = self.outbox.acknowledge(publish.packet_id)
            if message is not None:
                self.owner.message_acknowledged(message)
        self.send_due()

    def deliver(self, topic: str, payload: bytes) -> None:
        """Send the device a message."""
        self.owner.message_arrived(topic, payload)

    def tell(self, event: LinkEvent) -> None:
        """Tell the owner something, in or out of turn."""
        self.owner.link_event(event)

    def _end(self) -> None:
        if not self.ended:
            self.ended = True
            self.engine.open_links -= 1


class MemoryEngine:
    """A `LinkEngine`; `links` are all that were ever opened."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.open_links = 0
        self.links: list[MemoryLink] = []

    @property
    def last(self) -> MemoryLink:
        return self.links[-1]

    def open(self, owner: LinkOwner, attempt: int, credentials: MqttCredentials, outbox: Outbox) -> MemoryLink:
        self.open_links += 1
        self.links.append(MemoryLink(self, owner, attempt, credentials, outbox))
        return self.last
