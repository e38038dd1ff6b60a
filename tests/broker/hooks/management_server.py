"""Management APIs as far as they are used: RabbitMQ 3.10's as seen, EMQX 5's as its documents have it (never run)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import encode_basic_auth, web

USER, PASSWORD = "operator", "canary-of-management"


class ManagementServer:
    """`clients` is who is connected, (user name, client id) by name; `failing` with a status, it does nothing."""

    def __init__(self) -> None:
        self.port = 0
        self.clients: dict[str, tuple[str, str]] = {}
        self.failing: int | None = None
        self.answer: Any = None
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        return f"http://{USER}@127.0.0.1:{self.port}"

    async def serve(self, request: web.Request) -> web.Response:
        self.requests.append(f"{request.method} {request.raw_path}")
        if request.headers["Authorization"] != encode_basic_auth(USER, PASSWORD):
            return web.json_response({"error": "not_authorised"}, status=401)
        if self.failing is not None:
            return web.Response(status=self.failing, headers={"Location": "/elsewhere"})
        if self.answer is not None:
            return web.Response(text=self.answer, content_type="application/json")
        if request.path.startswith("/api/v5/"):
            return self._emqx(request)
        return self._rabbitmq(request)

    def _rabbitmq(self, request: web.Request) -> web.Response:
        head, _, name = request.path.removeprefix("/api/connections").rpartition("/")
        if request.method == "DELETE" and head == "/username":
            self._end(*(one for one, (user, _) in self.clients.items() if user == name))
            return web.Response(status=204)
        if request.method == "DELETE":
            return web.Response(status=204 if self._end(name) else 404)
        if head == "/username":
            named = [one for one, (user, _) in self.clients.items() if user == name]
            return web.json_response([{"name": one, "user": name, "vhost": "/"} for one in named])
        listed = [
            {"name": one, "user": user, "variable_map": {"client_id": client_id} if client_id else None}
            for one, (user, client_id) in self.clients.items()
        ]
        return web.json_response(listed)

    def _emqx(self, request: web.Request) -> web.Response:
        client_id = request.path.removeprefix("/api/v5/clients").removeprefix("/")
        if not client_id:
            page, limit = int(request.query["page"]), int(request.query["limit"])
            rows = [_client(user, one) for user, one in self.clients.values()][(page - 1) * limit : page * limit]
            return web.json_response({"data": rows, "meta": {"page": page, "limit": limit, "count": len(self.clients)}})
        found = [one for one, (_, known) in self.clients.items() if known == client_id]
        if not found:
            return web.json_response({"code": "CLIENTID_NOT_FOUND", "message": "Client ID not found"}, status=404)
        if request.method == "DELETE":
            self._end(*found)
            return web.Response(status=204)
        return web.json_response(_client(*self.clients[found[0]]))

    def _end(self, *names: str) -> bool:
        return [self.clients.pop(one, None) for one in names] != [None]


def _client(user: str, client_id: str) -> dict[str, object]:
    return {"clientid": client_id, "username": user, "connected": True, "proto_ver": 4}


@asynccontextmanager
async def managing() -> AsyncIterator[ManagementServer]:
    """Serve on a free port of this machine."""
    server, app = ManagementServer(), web.Application()
    app.router.add_route("*", "/{path:.*}", server.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.port = runner.addresses[0][1]
        yield server
    finally:
        await runner.cleanup()
