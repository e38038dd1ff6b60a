"""So many under way at a time."""

import asyncio

from simulator.links.turnstile import Turnstile
from tests.support.waiting import turns, until


async def test_who_comes_later_waits_until_one_is_through() -> None:
    gate, begun = Turnstile(asyncio.get_running_loop(), most=3, per_turn=2), list[int]()
    for number in range(5):
        gate.enter(lambda number=number: begun.append(number) or True)  # type: ignore[misc]
    assert begun == [], "nobody is called from within the call"
    await turns()
    assert begun == [0, 1, 2]
    gate.leave()
    await turns()
    assert begun == [0, 1, 2, 3]


async def test_who_does_not_want_any_more_takes_no_place() -> None:
    gate, begun = Turnstile(asyncio.get_running_loop(), most=1, per_turn=2), list[int]()
    for _ in range(5):
        gate.enter(lambda: False)
    gate.enter(lambda: begun.append(5) or True)  # type: ignore[func-returns-value]
    await until(lambda: begun == [5], "the one who wants begins")


async def test_one_who_fails_to_begin_holds_up_nobody() -> None:
    gate, begun = Turnstile(asyncio.get_running_loop(), most=3, per_turn=1), list[int]()
    fallen_through = list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: fallen_through.append(context))

    def failing() -> bool:
        raise ValueError("no such name")

    gate.enter(failing)
    gate.enter(lambda: begun.append(1) or True)  # type: ignore[func-returns-value]
    await until(lambda: begun == [1], "the next one begins")
    assert len(fallen_through) == 1
