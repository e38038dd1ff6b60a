"""A hub without processes: members whose letters are kept, and who say what the test has them say."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import orjson

from broker.auth.registry import Slot
from broker.auth.roma import RomaRegistry
from broker.journal import Journal
from broker.processes.books import Books
from broker.processes.changes import Draft, HubJournal, HubRegistry
from broker.processes.channel import Channel
from broker.processes.everywhere import Everywhere
from broker.processes.homes import Homes
from broker.processes.letters import Change, Claim, Confirmed
from broker.processes.member import Member
from tests.broker.rig import FakeClock, device

TIMEOUT_S = 0.05
MOMENT = datetime(2026, 11, 21, 19, 30, tzinfo=UTC)


class Post:
    """Keeps what is posted to one member."""

    def __init__(self) -> None:
        self.letters: list[Any] = []

    def post(self, letter: object) -> None:
        self.letters.append(letter)

    def of(self, kind: type) -> list[Any]:
        return [one for one in self.letters if isinstance(one, kind)]


class HubRig:
    """Two members that serve; `records` is what the journal says."""

    def __init__(self, path: Path, *, opens_at_once: bool = True) -> None:
        self.clock = FakeClock()
        self.draft = Draft()
        self.path = path
        self.journal = HubJournal(self.draft, path, self.clock, lambda _: None, 100)
        self.books = Books(self.draft)
        self.registry = HubRegistry(self.draft, [device("d1"), device("d2")], (), RomaRegistry())
        self.everywhere = Everywhere(self.draft, cast("Journal", self.journal), self.clock, TIMEOUT_S)
        self.homes = Homes(self.everywhere, self.books, self.clock, TIMEOUT_S, opens_at_once=opens_at_once)
        self.posts: dict[Member, Post] = {}
        self.one, self.other = self.member(1), self.member(2)

    def member(self, number: int) -> Member:
        member, post = Member(number), Post()
        member.connect(cast("Channel", post))
        member.is_ready = True
        self.posts[member] = post
        self.everywhere.members.append(member)
        return member

    def change(self, change: Callable[[], object]) -> "asyncio.Future[object]":
        answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self.everywhere.run(change, answer)
        return answer

    def changes(self, member: Member) -> list[Change]:
        return self.posts[member].of(Change)

    def confirm(self, member: Member, change: Change, *cut: str) -> None:
        self.everywhere.confirmed(member, Confirmed(change.number, cut))

    def claim(self, member: Member, number: int, device_id: str = "d1") -> Claim:
        claim = Claim(number, device_id, Slot.PRIMARY, 1, f"{device_id}_0_0_0", "peer", MOMENT, 4)
        self.homes.claim(member, claim)
        return claim

    @property
    def records(self) -> list[dict[str, Any]]:
        self.journal.flush()
        return [orjson.loads(line) for line in self.path.read_bytes().splitlines()]
