"""A change in every access process at once: made in one callback each, confirmed by all, and only then told.

The hub makes a change when the database has committed it, and sends it out in the same turn. A process makes it in one
callback, cuts what is to be cut, keeps the CONNECTs that it bears upon unjudged, and confirms. When all have, the
journal says so, the caller is answered, and CONNECTs are judged again, by what is new. So the journal of all processes
together has one order, in which every verdict is right where it stands.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any, TypeVar

from broker.clock import Clock
from broker.errors import NotConfirmed
from broker.journal import Journal
from broker.processes.changes import Draft
from broker.processes.letters import EVERYBODY, Change, Confirmed, Settled, Step
from broker.processes.member import Member

T = TypeVar("T")
NAMED = 100
"""So many devices of a change that is not confirmed are named."""


@dataclass(slots=True, eq=False)
class _Pending:
    """A change under way: what is to be told of it, and who has not confirmed it."""

    number: int
    about: frozenset[str]
    steps: list[Step]
    records: list[tuple[str, dict[str, Any]]]
    believed: set[str]
    afterwards: list[Callable[[], None]]
    answer: Callable[[NotConfirmed | None], None]
    begun: float = 0.0
    waiting: set[Member] = field(default_factory=set)
    cut: set[str] = field(default_factory=set)
    timer: asyncio.TimerHandle | None = None
    is_settled: bool = False


class Everywhere:
    """`members` are all access processes; `settled` is called whenever a change is, with what it was about.

    One thing at a time is done with one device: a change waits while the one before is not settled, and while the
    device `is_moving` from one process to another.
    """

    def __init__(self, draft: Draft, journal: Journal, clock: Clock, timeout_s: float) -> None:
        self.members: list[Member] = []
        self.settled: Callable[[frozenset[str]], None] = lambda _about: None
        self.is_moving: Callable[[str], bool] = lambda _device_id: False
        self.draft = draft
        self._journal = journal
        self._clock = clock
        self._timeout_s = timeout_s
        self._numbers = count(1)
        self._pending: dict[int, _Pending] = {}
        self._queue: list[_Pending] = []
        self._changing: Counter[str] = Counter()

    def is_changing(self, device_id: str) -> bool:
        """Whether a change that bears upon this device is under way."""
        return _overlap(self._changing, (device_id,))

    def run(self, change: Callable[[], T], answer: asyncio.Future[T]) -> None:
        draft = self.draft
        draft.begin()
        try:
            outcome = change()
        except BaseException:
            self._send(lambda _: None)
            raise

        def resolve(error: NotConfirmed | None) -> None:
            if answer.done():
                return
            if error is None:
                answer.set_result(outcome)
            else:
                answer.set_exception(error)

        self._send(resolve)

    def order(self, *steps: Step) -> None:
        """Have a change made that nobody waits for."""
        self.draft.begin()
        for step in steps:
            self.draft.add(step)
        self._send(lambda _: None)

    def confirmed(self, member: Member, letter: Confirmed) -> None:
        pending = self._pending.get(letter.number)
        if pending is None:
            return
        pending.cut.update(letter.cut)
        if pending.is_settled:
            late_s = round(self._clock.now() - pending.begun, 3)
            self._journal.write("confirmed", process=member.number, devices=_named(pending), after=late_s)
        self._strike(pending, member)

    def lost(self, member: Member) -> None:
        """A process that is gone has no sessions: there is nothing that it could confirm."""
        for pending in [one for one in self._pending.values() if member in one.waiting]:
            self._strike(pending, member)

    def _send(self, answer: Callable[[NotConfirmed | None], None]) -> None:
        """Close the draft; send it out when nothing else about the same devices is under way."""
        draft = self.draft
        draft.is_open = False
        about = frozenset(name for step in draft.steps for name in step.about)
        pending = _Pending(
            next(self._numbers), about, draft.steps, draft.records, draft.believed, draft.afterwards, answer
        )
        is_held_up = _overlap(self._changing, about) or any(map(self.is_moving, about))
        self._changing.update(about)
        if is_held_up:
            self._queue.append(pending)
        else:
            self._post(pending)

    def go_on(self) -> None:
        """Send out what has waited, in order, as far as nothing about the same devices is under way or waits before."""
        waiting, self._queue = self._queue, []
        busy = {name for pending in self._pending.values() if not pending.is_settled for name in pending.about}
        for pending in waiting:
            if _overlap(busy, pending.about) or any(map(self.is_moving, pending.about)):
                self._queue.append(pending)
            else:
                self._post(pending)
            busy |= pending.about

    def _post(self, pending: _Pending) -> None:
        """A process that has no sessions yet need not confirm; to that which follows it is in order all the same."""
        if pending.steps:
            pending.waiting = {one for one in self.members if one.serves}
            for member in self.members:
                member.post(Change(pending.number, pending.steps))
        if not pending.waiting:
            self._settle(pending, None)
            return
        pending.begun = self._clock.now()
        self._pending[pending.number] = pending
        loop = asyncio.get_running_loop()
        pending.timer = loop.call_later(self._timeout_s, partial(self._give_up, pending))

    def _strike(self, pending: _Pending, member: Member) -> None:
        pending.waiting.discard(member)
        if pending.waiting:
            return
        del self._pending[pending.number]
        if not pending.is_settled:
            self._settle(pending, None)

    def _give_up(self, pending: _Pending) -> None:
        """The change is in force, and its caller is told that somebody has not said so."""
        silent = sorted(one.number for one in pending.waiting)
        named = ", ".join(map(str, silent))
        error = NotConfirmed(f"It is in force, but access process {named} has not confirmed it in time.")
        self._settle(pending, error)
        self._journal.write("unconfirmed", processes=silent, devices=_named(pending), after=self._timeout_s)

    def _settle(self, pending: _Pending, error: NotConfirmed | None) -> None:
        """Tell of a change; whose sessions were cut is what the processes say."""
        pending.is_settled = True
        if pending.timer is not None:
            pending.timer.cancel()
        for kind, fields in pending.records:
            if "cut" in fields:
                was_mqtt, device_id = fields["device"] in pending.believed, fields["device"]
                fields["cut"] = (fields["cut"] and not was_mqtt) or device_id in pending.cut
            self._journal.write(kind, **fields)
        for do in pending.afterwards:
            do()
        self._changing.subtract(pending.about)
        for name in pending.about:
            if not self._changing[name]:
                del self._changing[name]
        if pending.steps:
            for member in self.members:
                member.post(Settled(pending.number))
        pending.answer(error)
        self.settled(pending.about)
        if self._queue:
            self.go_on()


def _named(pending: _Pending) -> list[str]:
    return sorted(pending.about)[:NAMED]


def _overlap(busy: Collection[str], about: Collection[str]) -> bool:
    """Whether something is about a device that something else is about."""
    if not busy or not about:
        return False
    return EVERYBODY in busy or EVERYBODY in about or any(name in busy for name in about)
