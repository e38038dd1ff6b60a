"""uvicorn inside a loop that is not its own: it takes no signals, and stops as fast as the open requests allow."""

import asyncio
import logging
import socket
from collections.abc import Iterator

import orjson
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from broker.control_api.errors import INVALID_FORMAT

KEEP_ALIVE_S = 75
BACKLOG = 4096


class HttpServer(uvicorn.Server):
    """Serves an application on a socket; what is no HTTP at all gets the vendor's error body too."""

    def __init__(self, app: ASGIApp, ids: Iterator[str]) -> None:
        class Protocol(VendorHttpProtocol):
            request_ids = ids

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
                timeout_keep_alive=KEEP_ALIVE_S,
                backlog=BACKLOG,
            )
        )

    async def start(self, listening: socket.socket) -> None:
        self.config.load()
        self.lifespan = self.config.lifespan_class(self.config)
        await self.startup(sockets=[listening])

    async def stop(self, grace_s: float) -> None:
        """Take no more requests, finish the open ones within the grace, then cancel them."""
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


class VendorHttpProtocol(HttpToolsProtocol):
    """Answers a malformed request as the vendor would."""

    request_ids: Iterator[str]

    def send_400_response(self, msg: str) -> None:
        _, code, text = INVALID_FORMAT
        body = orjson.dumps({"error_code": code, "error_msg": f"{text} {msg}"})
        head = (
            "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close\r\n"
            f"X-Request-Id: {next(self.request_ids)}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
