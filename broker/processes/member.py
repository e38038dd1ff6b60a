"""One access process, as the hub sees it."""

import asyncio
import os
import signal
from collections.abc import Callable
from itertools import count
from typing import Any

from broker.errors import NotConfirmed
from broker.processes.channel import Channel
from broker.processes.letters import Answered, Ask
from broker.statistics import Figures, Statistics


class Asked:
    """A call that was posted."""

    def __init__(self, member: "Member", number: int) -> None:
        self._member = member
        self._number = number
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def wait(self, timeout_s: float) -> Any:
        """Raises what the call raises there, and NotConfirmed when there is no answer."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self.answer
        except TimeoutError:
            raise NotConfirmed(f"Access process {self._member.number} has not answered in time.") from None
        finally:
            self._member.forget(self._number)


class Member:
    """Counts from 1 over the platform's life: a process that is started in another's place has a number of its own."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.is_ready = False
        self.is_gone = False
        self.pid = 0
        self.lost_lines = 0
        self.figures = Figures(Statistics(), 0, 0.0, 0)
        self._channel: Channel | None = None
        self._asked: dict[int, Asked] = {}
        self._numbers = count(1)

    def connect(self, channel: Channel) -> None:
        self._channel = channel

    @property
    def serves(self) -> bool:
        return self.is_ready and not self.is_gone

    def post(self, letter: object) -> None:
        assert self._channel is not None, "a process has its channel from the start"
        self._channel.post(letter)

    def ask(self, call: str, *arguments: Any) -> Asked:
        """Post a call in this turn."""
        number = next(self._numbers)
        asked = self._asked[number] = Asked(self, number)
        self.post(Ask(number, call, arguments))
        return asked

    def forget(self, number: int) -> None:
        self._asked.pop(number, None)

    def answered(self, letter: Answered) -> None:
        asked = self._asked.get(letter.number)
        if asked is None or asked.answer.done():
            return
        if letter.error is None:
            asked.answer.set_result(letter.value)
        else:
            kind, arguments, attributes = letter.error
            error = kind.__new__(kind, *arguments)
            vars(error).update(attributes)
            asked.answer.set_exception(error)

    def abandon(self, error: Callable[[], Exception]) -> None:
        """The process is gone: nobody will answer."""
        self.is_gone = True
        for asked in self._asked.values():
            if not asked.answer.done():
                asked.answer.set_exception(error())

    def kill(self) -> None:
        if self.pid and not self.is_gone:
            os.kill(self.pid, signal.SIGKILL)
