"""uvicorn inside a loop that is not its own: it takes no signals, and stops as fast as the open requests allow."""

import asyncio
import logging
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from broker.control_api.http_connection import DEFAULT_BOUNDS, Bounds, VendorHttpProtocol, Waiting

BACKLOG = 4096


class HttpServer(uvicorn.Server):
    """Serves an application on a socket; what is no HTTP at all gets the vendor's error body too."""

    def __init__(self, app: ASGIApp, ids: Iterator[str], bounds: Bounds = DEFAULT_BOUNDS) -> None:
        self._waiting = Waiting(bounds, asyncio.get_running_loop())

        class Protocol(VendorHttpProtocol):
            request_ids = ids
            waiting = self._waiting

        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        super().__init__(
            uvicorn.Config(
                app,
                http=Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                date_header=False,
                timeout_keep_alive=bounds.keep_alive_s,
                backlog=BACKLOG,
            )
        )

    async def start(self, listening: socket.socket) -> None:
        self.config.load()
        self.lifespan = self.config.lifespan_class(self.config)
        await self.startup(sockets=[listening])
        self._waiting.start()

    async def stop(self, grace_s: float) -> None:
        """Take no more requests, finish the open ones within the grace, then cancel them."""
        self._waiting.stop()
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        tasks = set(self.server_state.tasks)
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=grace_s)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)
