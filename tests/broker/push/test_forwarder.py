"""The way to one receiver: retries, order, bounds; the receiver is a fake that records what it was sent."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from broker.journal import Journal
from broker.push.forwarder import Forwarder, PushTerms
from broker.push.outcome import Failure, Outcome
from broker.push.sender import Sender
from broker.push.target import Target
from broker.statistics import Statistics
from tests.broker.push.test_lanes import change
from tests.broker.rig import FakeClock
from tests.support.waiting import turns, until

FAILED, REFUSED, DELIVERED = Outcome.of_status(500), Outcome.of_status(404), Outcome.of_status(200)


class RecordingSender(Sender):
    """Answers as it is told, when it is told."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.outcome: Callable[[str], Outcome] = lambda _: DELIVERED
        self.may_answer = asyncio.Event()
        self.under_way = self.most_under_way = 0

    async def post(self, url: str, body: bytes) -> Outcome:
        push = json.loads(body)
        device_id = push["notify_data"]["header"]["device_id"]
        self.sent.append((device_id, push["request_id"]))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await self.may_answer.wait()
        self.under_way -= 1
        return self.outcome(device_id)


class Bench:
    def __init__(self, folder: Path, tasks: asyncio.TaskGroup, **terms: Any) -> None:
        self.sender = RecordingSender()
        self.statistics = Statistics()
        self._path = folder / "journal.jsonl"
        self._journal = Journal(self._path, FakeClock(), asyncio.get_running_loop().call_soon, 1000)
        chosen = PushTerms(**{"concurrency": 2, "queue_limit": 100, "backoff_s": (0.001, 0.001), **terms})
        target = Target("http://127.0.0.1:8099/?token=open-sesame", "127.0.0.1:8099")
        self.forwarder = Forwarder(target, chosen, self.sender, tasks, self._journal, self.statistics)

    def records(self) -> list[dict[str, Any]]:
        self._journal.flush()
        return [json.loads(line) for line in self._path.read_text().splitlines()]

    def close(self) -> None:
        self._journal.close()


@asynccontextmanager
async def bench(folder: Path, **terms: Any) -> AsyncIterator[Bench]:
    async with asyncio.TaskGroup() as tasks:
        bench = Bench(folder, tasks, **terms)
        try:
            yield bench
        finally:
            bench.forwarder.withdraw()
            bench.close()


async def test_push_is_journalled_with_the_place_alone(tmp_path: Path) -> None:
    async with bench(tmp_path) as one:
        one.sender.may_answer.set()
        one.forwarder.offer(change("d1", 7))
        await until(lambda: one.statistics.pushed == 1, "pushed")
        (record,) = one.records()
    assert {key: value for key, value in record.items() if key != "t"} == {
        "kind": "pushed",
        "device": "d1",
        "status": "ONLINE",
        "target": "127.0.0.1:8099",
        "attempts": 1,
        "request_id": "7",
        "http_status": 200,
    }


async def test_failed_push_is_tried_again_until_the_waits_are_used_up(tmp_path: Path) -> None:
    async with bench(tmp_path) as one:
        one.sender.may_answer.set()
        one.sender.outcome = lambda _: FAILED
        one.forwarder.offer(change())
        await until(lambda: one.statistics.push_failures == 1, "given up")
        (record,) = one.records()
    assert one.sender.sent == [("d1", "0")] * 3
    assert (record["kind"], record["attempts"]) == ("push_failed", 3)
    assert (record["reason"], record["http_status"]) == (Failure.STATUS, 500)


async def test_failure_that_will_not_pass_is_final(tmp_path: Path) -> None:
    async with bench(tmp_path) as one:
        one.sender.may_answer.set()
        one.sender.outcome = lambda _: REFUSED
        one.forwarder.offer(change())
        await until(lambda: one.statistics.push_failures == 1, "given up")
    assert len(one.sender.sent) == 1


async def test_later_change_of_a_device_waits_for_the_retries_of_the_earlier_one(tmp_path: Path) -> None:
    failures = iter([FAILED, FAILED])
    async with bench(tmp_path) as one:
        one.sender.may_answer.set()
        one.sender.outcome = lambda device_id: next(failures, DELIVERED) if device_id == "d1" else DELIVERED
        for number in range(3):
            one.forwarder.offer(change("d1", number))
        one.forwarder.offer(change("d2", 9))
        await until(lambda: one.statistics.pushed == 4, "all pushed")
    assert [number for device_id, number in one.sender.sent if device_id == "d1"] == ["0", "0", "0", "1", "2"]
    assert one.sender.sent.index(("d2", "9")) <= 2


async def test_receiver_gets_few_pushes_at_a_time_and_all_of_them(tmp_path: Path) -> None:
    async with bench(tmp_path, concurrency=3) as one:
        for number in range(50):
            one.forwarder.offer(change(f"d{number}", number))
        await until(lambda: one.sender.under_way == 3, "three under way")
        await turns()
        one.sender.may_answer.set()
        await until(lambda: one.statistics.pushed == 50, "all pushed")
    assert one.sender.most_under_way == 3
    assert Counter(one.sender.sent).most_common(1)[0][1] == 1


async def test_work_goes_on_after_it_has_ended_once(tmp_path: Path) -> None:
    async with bench(tmp_path, concurrency=1) as one:
        one.sender.may_answer.set()
        for number in range(5):
            one.forwarder.offer(change("d1", number))
            await until(lambda: one.statistics.pushed == len(one.sender.sent) > number, "pushed")  # noqa: B023


async def test_full_queue_costs_a_change_that_is_counted_and_journalled(tmp_path: Path) -> None:
    async with bench(tmp_path, concurrency=1, queue_limit=2) as one:
        for number in range(4):
            one.forwarder.offer(change(f"d{number}", number))
        lost = [(record["device"], record["reason"]) for record in one.records()]
        assert lost == [("d2", "queue_full"), ("d3", "queue_full")]
        assert (one.statistics.dropped_push_queue_full, one.statistics.push_failures) == (2, 2)
        one.sender.may_answer.set()
        await until(lambda: one.statistics.pushed == 2, "those with a place are pushed")


async def test_withdrawn_receiver_hears_nothing_more(tmp_path: Path) -> None:
    async with bench(tmp_path, concurrency=1, backoff_s=(0.01,)) as one:
        one.sender.outcome = lambda _: FAILED
        one.forwarder.offer(change("d1"))
        await until(lambda: one.sender.under_way == 1, "under way")
        one.sender.may_answer.set()
        await until(lambda: one.sender.under_way == 0, "waits for another try")
        one.sender.may_answer.clear()
        one.forwarder.offer(change("d2"))
        await until(lambda: one.sender.under_way == 1, "the next is under way")
        one.forwarder.withdraw()
        one.sender.may_answer.set()
        await turns(50)
        (record,) = one.records()
    assert (record["kind"], record["count"], record["target"]) == ("pushes_withdrawn", 2, "127.0.0.1:8099")
    assert [device_id for device_id, _ in one.sender.sent] == ["d1", "d2"]
