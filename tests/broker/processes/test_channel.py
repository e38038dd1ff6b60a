"""Two ends of a channel in one loop."""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from broker.processes.channel import Channel
from tests.broker.rig import DEADLINE_S


@dataclass
class End:
    """One end: what it has heard, and what was done before it sent."""

    heard: list[object] = field(default_factory=list)
    befores: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)
    has_ended: asyncio.Event = field(default_factory=asyncio.Event)

    def connect(self, sock: socket.socket) -> None:
        self.channel = Channel(sock, self._take, self.has_ended.set, self._before)

    def _take(self, letter: object) -> None:
        self.heard.append(letter)
        self.news.set()

    def _before(self) -> None:
        self.befores += 1

    async def hears(self, count: int) -> list[object]:
        async with asyncio.timeout(DEADLINE_S):
            while len(self.heard) < count:
                self.news.clear()
                await self.news.wait()
        return self.heard


@pytest.fixture
async def ends() -> AsyncIterator[tuple[End, End]]:
    ours, theirs = socket.socketpair()
    one, other = End(), End()
    one.connect(ours)
    other.connect(theirs)
    yield one, other
    one.channel.close()
    other.channel.close()


async def test_letters_arrive_in_order_both_ways(ends: tuple[End, End]) -> None:
    one, other = ends
    for number in range(3):
        one.channel.post(number)
        other.channel.post(str(number))
    assert await other.hears(3) == [0, 1, 2]
    assert await one.hears(3) == ["0", "1", "2"]


async def test_turn_is_one_frame_and_something_is_done_before(ends: tuple[End, End]) -> None:
    one, other = ends
    one.channel.post("a")
    one.channel.post("b")
    assert one.befores == 0
    await other.hears(2)
    assert one.befores == 1


async def test_more_than_the_kernel_takes_arrives_whole_and_in_order(ends: tuple[End, End]) -> None:
    one, other = ends
    large = [bytes([number]) * 3_000_000 for number in range(4)]
    for letter in large:
        one.channel.post(letter)
        one.channel.flush()
        other.channel._read()  # the kernel has room again, and still what is left of this letter comes first
    one.channel.post("last")
    assert await other.hears(5) == [*large, "last"]


async def test_what_is_posted_for_later_comes_after_what_this_turn_posts(ends: tuple[End, End]) -> None:
    one, other = ends
    one.channel.post_later("later")
    one.channel.post("now")
    assert await other.hears(2) == ["now", "later"]


async def test_end_is_noticed_once_after_all_that_was_said(ends: tuple[End, End]) -> None:
    one, other = ends
    one.channel.post("goodbye")
    one.channel.close()
    async with asyncio.timeout(DEADLINE_S):
        await other.has_ended.wait()
    assert other.heard == ["goodbye"]
    assert not other.channel.is_open
    other.channel.post("nobody hears that")
    other.channel.flush()
