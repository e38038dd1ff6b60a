"""The HTTP client of the pushes, opened when it is needed first: a platform without rules does not pay for it."""

import asyncio
from importlib import import_module
from typing import Protocol

from broker.push.outcome import Outcome


class Client(Protocol):
    async def post(self, url: str, body: bytes) -> Outcome: ...

    async def close(self) -> None: ...


class Sender:
    """Posts to receivers; unless `anywhere`, to those on this machine."""

    def __init__(self, timeout_s: float, *, anywhere: bool) -> None:
        self._timeout_s = timeout_s
        self._anywhere = anywhere
        self._opening = asyncio.Lock()
        self._client: Client | None = None

    async def open(self) -> Client:
        """Return the client; its library is loaded in a thread, because that takes a while."""
        async with self._opening:
            if self._client is None:
                module = await asyncio.to_thread(import_module, "broker.push.http_client")
                client: Client = module.HttpClient(self._timeout_s, anywhere=self._anywhere)
                self._client = client
        return self._client

    async def post(self, url: str, body: bytes) -> Outcome:
        client = self._client or await self.open()
        return await client.post(url, body)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
