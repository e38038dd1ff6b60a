"""The HTTP application: routes, and what every answer has in common."""

import traceback
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from broker.complaints import complain
from broker.control_api import (
    async_commands,
    bulk_resets,
    downlinks,
    guard,
    iotda,
    openapi,
    platform,
    products,
    refusals,
    registrations,
    roma,
    routing_rules,
)
from broker.control_api.services import Services
from broker.errors import BrokerError, RequestError

HANDLERS: dict[Any, Any] = {
    BrokerError: refusals.on_broker_error,
    RequestValidationError: refusals.on_unfit_parameter,
    Exception: refusals.on_crash,
}


PARTS = (iotda, downlinks, async_commands, routing_rules, roma, platform, products, registrations, bulk_resets)


def build(services: Services) -> ASGIApp:
    """Make the application: resetSecret alone at the front, where a wave of them is cheap, then FastAPI."""
    action = iotda.action_route(services)

    def routes() -> list[BaseRoute]:
        return [iotda.described(action), *app.routes]

    async def on_http_error(request: Request, error: Exception) -> Response:
        """A path with other methods says so, and which they are."""
        assert isinstance(error, HTTPException)
        if methods := methods_at(routes(), request.url.path):
            answer = await refusals.on_http_error(request, HTTPException(405))
            answer.headers["Allow"] = ", ".join(methods)
            return answer
        return await refusals.on_http_error(request, error)

    handlers = {**HANDLERS, HTTPException: on_http_error}
    app = FastAPI(openapi_url=None, redirect_slashes=False, exception_handlers=handlers)
    for part in PARTS:
        app.include_router(part.router(services))
    app.include_router(openapi.router(routes))
    front = Starlette(routes=[action], exception_handlers=handlers)
    front.router.default = app
    return Front(front, services)


def methods_at(routes: Sequence[BaseRoute], path: str) -> list[str]:
    """Return the methods that a path is served with, whichever routes have them; one with a name is no other's id."""
    serving = [one for one in iter_route_contexts(routes) if one.path_regex is not None and one.path_regex.match(path)]
    fewest = min((len(one.param_convertors) for one in serving), default=0)
    return sorted({method for one in serving if len(one.param_convertors) == fewest for method in one.methods or ()})


class Front:
    """The outermost layer: a request id on every answer, the callers, and the guards of the HTTP side."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app = app
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = next(self._services.ids)
        scope.setdefault("state", {})["request_id"] = request_id
        header = (b"x-request-id", request_id.encode())

        async def send_identified(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], header]
            await send(message)

        try:
            await self._serve(scope, guard.limited(receive, guard.max_body(scope["path"])), send_identified)
        except ClientDisconnect:
            return  # whoever goes away in the middle of a body waits for no answer
        except Exception:  # noqa: BLE001 - the guard; the framework has answered 500
            self._services.statistics.internal_errors += 1
            complain(f"request {request_id} failed\n{traceback.format_exc()}")

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer what it is to serve, and refuse the rest."""
        app = self._app
        try:
            receive = await self._admit(scope, receive)
        except RequestError as error:
            app = refusals.refusal(error, scope)
        await app(scope, receive, send)

    async def _admit(self, scope: Scope, receive: Receive) -> Receive:
        """Return how to receive what the application is to serve; raises RequestError when it is to serve nothing."""
        callers, path, headers = self._services.callers, scope["path"], dict(scope["headers"])
        claim = callers.claim(headers)
        guard.require_decent(path, headers)
        if claim is not None:
            receive = await callers.proved(claim, scope, headers, receive)
        self._services.tenant.require_own(path, headers)
        return receive
