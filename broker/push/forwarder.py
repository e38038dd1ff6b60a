"""The way of the pushes to one receiver: a few at a time, each tried a few times, none waited for by anybody."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from broker.journal import Journal
from broker.push.lanes import Lanes, Push
from broker.push.notification import StatusChange
from broker.push.outcome import Failure, Outcome
from broker.push.sender import Sender
from broker.push.target import Target
from broker.statistics import Statistics


@dataclass(frozen=True, slots=True)
class PushTerms:
    """What one receiver may cost; `backoff_s` is the waits before the second attempt and those after it."""

    concurrency: int
    queue_limit: int
    backoff_s: Sequence[float]


class Forwarder:
    """Delivers in the order of the changes of a device; the attempts are made by as many tasks as there is work for."""

    def __init__(
        self,
        target: Target,
        terms: PushTerms,
        sender: Sender,
        tasks: asyncio.TaskGroup,
        journal: Journal,
        statistics: Statistics,
    ) -> None:
        self.target = target
        self._terms = terms
        self._sender = sender
        self._tasks = tasks
        self._journal = journal
        self._statistics = statistics
        self._lanes = Lanes(terms.queue_limit)
        self._workers: set[asyncio.Task[None]] = set()
        self._working = 0
        self._is_withdrawn = False

    def offer(self, change: StatusChange) -> None:
        """Let a change be pushed as soon as it can be; a full queue costs a change."""
        if lost := self._lanes.offer(change):
            self._statistics.dropped_push_queue_full += 1
            self._fail(Push(lost), Outcome(failure=Failure.QUEUE_FULL))
        self._work_on()

    def withdraw(self) -> None:
        """Nobody wants the pushes any more: give up what is under way and what waits."""
        self._is_withdrawn = True
        for worker in self._workers:
            worker.cancel()
        if count := self._lanes.clear():
            self._journal.write("pushes_withdrawn", target=self.target.place, count=count)

    def _work_on(self) -> None:
        if self._working < self._terms.concurrency and self._lanes.has_ready:
            self._working += 1
            worker = self._tasks.create_task(self._work(), name=f"push[{self.target.place}]")
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    async def _work(self) -> None:
        """Make attempts as long as there is one to be made."""
        while (push := self._lanes.take()) is not None:
            push.attempts += 1
            self._settle(push, await self._sender.post(self.target.url, push.change.encode()))
        self._working -= 1

    def _settle(self, push: Push, outcome: Outcome) -> None:
        waits_s = self._terms.backoff_s
        if outcome.failure is None:
            self._statistics.pushed += 1
            self._journal.write("pushed", **self._record(push), http_status=outcome.status)
        elif outcome.may_pass and push.attempts <= len(waits_s):
            asyncio.get_running_loop().call_later(waits_s[push.attempts - 1], self._again, push)
            return
        else:
            self._fail(push, outcome)
        self._lanes.finish(push)

    def _again(self, push: Push) -> None:
        if not self._is_withdrawn:
            self._lanes.again(push)
            self._work_on()

    def _fail(self, push: Push, outcome: Outcome) -> None:
        self._statistics.push_failures += 1
        status = {} if outcome.status is None else {"http_status": outcome.status}
        self._journal.write("push_failed", **self._record(push), reason=outcome.failure, **status)

    def _record(self, push: Push) -> dict[str, object]:
        return {
            "device": push.change.device_id,
            "status": push.change.status,
            "target": self.target.place,
            "attempts": push.attempts,
            "request_id": push.change.request_id,
        }
