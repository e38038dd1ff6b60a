"""A device that only writes down what its link tells it."""

from collections.abc import Callable
from typing import TypeVar

from simulator.device.events import Accepted, LinkEvent, LinkLost, Refused, Unreachable
from simulator.links.outbox import Message
from tests.support.waiting import DEADLINE_S, until

E = TypeVar("E", bound=LinkEvent)

Telling = LinkEvent | tuple[str, object]


class RecordingOwner:
    """`story` is all that the link told, in order: events, and messages as ("arrived" | "acknowledged" | "sent", …).

    `look` is called with every event, at the moment when the link tells it.
    """

    def __init__(self, attempt: int, look: Callable[[LinkEvent], None] = lambda _event: None) -> None:
        self.attempt = attempt
        self.story: list[Telling] = []
        self._look = look

    def link_event(self, event: LinkEvent) -> None:
        self.story.append(event)
        self._look(event)

    def message_arrived(self, topic: str, payload: bytes) -> None:
        self.story.append(("arrived", (topic, payload)))

    def message_acknowledged(self, message: Message) -> None:
        self.story.append(("acknowledged", message.seq))

    def messages_sent(self, messages: list[Message]) -> None:
        self.story.append(("sent", [message.seq for message in messages]))

    def power_saving(self, *, on: bool) -> None:
        self.story.append(("power saving", on))

    @property
    def events(self) -> list[LinkEvent]:
        return [one for one in self.story if not isinstance(one, tuple)]

    @property
    def terminal(self) -> LinkEvent | None:
        """The event that ended the link, if it has ended."""
        return next((one for one in self.events if not isinstance(one, Accepted)), None)

    def told(self, what: str) -> list[object]:
        """What the link told of messages that "arrived", were "acknowledged", or were "sent"."""
        return [one[1] for one in self.story if isinstance(one, tuple) and one[0] == what]

    async def accepted(self) -> None:
        """Wait until the platform accepted the link, and nothing else came first."""
        await until(lambda: self.events, "the link tells anything")
        assert self.events[0] == Accepted(self.attempt), self.story

    async def ended(self, within_s: float = DEADLINE_S) -> LinkEvent:
        """Wait for the terminal event."""
        await until(lambda: self.terminal, f"a terminal event after {self.story}", within_s)
        assert self.terminal is not None
        return self.terminal

    def check(self, *, closed: bool) -> None:
        """Hold the story against the rules that every link obeys; `closed` links end without an event."""
        assert all(event.attempt == self.attempt for event in self.events), self.story
        assert not any(isinstance(event, Accepted) for event in self.events[1:]), self.story
        if closed:
            assert self.terminal is None, self.story
            return
        assert self.events, "the link ended without a word"
        assert [one for one in self.events if not isinstance(one, Accepted)] == [self.story[-1]], self.story
        wanted = LinkLost if isinstance(self.events[0], Accepted) else Refused | Unreachable
        assert isinstance(self.terminal, wanted), self.story
