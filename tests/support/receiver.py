"""An HTTP server that is told of changes: it keeps what it gets, and answers as it is told to."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

Answer = Callable[[dict[str, Any]], Awaitable[web.Response]]


async def accept(_: dict[str, Any]) -> web.Response:
    return web.Response()


class Receiver:
    """`answer` may be changed at any time; `pushes` come in the order of their arrival."""

    def __init__(self) -> None:
        self.port = 0
        self.pushes: list[dict[str, Any]] = []
        self.answer: Answer = accept
        self._news = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/pushes"

    def statuses(self, device_id: str) -> list[str]:
        told = [one["notify_data"] for one in self.pushes]
        return [one["body"]["status"] for one in told if one["header"]["device_id"] == device_id]

    async def until(self, count: int, within_s: float = 20.0) -> list[dict[str, Any]]:
        """Wait for so many pushes in all."""
        async with asyncio.timeout(within_s):
            while len(self.pushes) < count:
                self._news.clear()
                await self._news.wait()
        return self.pushes

    async def take(self, request: web.Request) -> web.Response:
        assert request.content_type == "application/json"
        push = json.loads(await request.read())
        self.pushes.append(push)
        self._news.set()
        return await self.answer(push)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Listen on a free port of this machine."""
    receiver, app = Receiver(), web.Application()
    app.router.add_post("/pushes", receiver.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)  # some requests are left unanswered on purpose
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
        receiver.port = runner.addresses[0][1]
        yield receiver
    finally:
        await runner.cleanup()
