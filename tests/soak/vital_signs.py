"""How a platform in another process is: what the kernel says of it, and what it says of itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import orjson

from simulator.embedded import EmbeddedPlatform
from tests.soak.attackers import Attackers
from tests.support.waiting import until

CALM_WITHIN_S = 30.0
NOTICE_LINES = 1


@dataclass(frozen=True, slots=True)
class Vitals:
    """One look at a platform."""

    rss_kb: int
    descriptors: int
    sessions: int
    journal_records: int
    internal_errors: int


class Patient:
    """A platform under observation, from before its first client on."""

    def __init__(self, platform: EmbeddedPlatform) -> None:
        self._api = platform.api
        self._process = Path(f"/proc/{platform.pid}")
        self._own_descriptors = self.descriptors()

    async def calm(self, sessions: int) -> Vitals:
        """Wait until it holds one descriptor a session and none besides, then look."""
        wanted = self._own_descriptors + sessions
        await until(lambda: self.descriptors() <= wanted, f"{wanted} descriptors are left", CALM_WITHIN_S)
        return await self.look()

    async def look(self) -> Vitals:
        descriptors = self.descriptors()
        async with aiohttp.ClientSession(self._api) as http:
            async with http.get("/_platform/statistics") as answer:
                told = orjson.loads(await answer.read())
            async with http.get("/_platform") as answer:
                records = orjson.loads(await answer.read())["journal_records"]
        return Vitals(told["rss_kb"], descriptors, told["online"], records, told["internal_errors"])

    def descriptors(self) -> int:
        return sum(1 for _ in (self._process / "fd").iterdir())

    def complaints(self) -> str:
        """Tell what it wrote to its standard error, a file, after the notice that it begins with."""
        lines = (self._process / "fd/2").read_text(encoding="utf-8").splitlines()
        return "\n".join(lines[NOTICE_LINES:])


@contextmanager
def telling(attackers: Attackers, patient: Patient) -> Iterator[None]:
    """Say what a failure needs to be repeated and understood."""
    try:
        yield
    except BaseException:
        print(f"{attackers.story()}\nthe platform said:\n{patient.complaints()}")
        raise
