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
    errors,
    guard,
    iotda,
    openapi,
    platform,
    products,
    routing_rules,
)
from broker.control_api.services import Services
from broker.errors import BrokerError, InvalidInput


async def on_unfit_parameter(request: Request, error: Exception) -> Response:
    """Answer what FastAPI found in a parameter of a route's signature."""
    assert isinstance(error, RequestValidationError)
    found = [{**one, "loc": one["loc"][1:]} for one in error.errors()]
    return await errors.on_broker_error(request, InvalidInput(errors.describe(found)))


HANDLERS: dict[Any, Any] = {
    BrokerError: errors.on_broker_error,
    RequestValidationError: on_unfit_parameter,
    Exception: errors.on_crash,
}


PARTS = (iotda, downlinks, async_commands, routing_rules, platform, products, bulk_resets)


def build(services: Services) -> ASGIApp:
    """Make the application: resetSecret alone at the front, where a wave of them is cheap, then FastAPI."""
    action = iotda.action_route(services)

    def routes() -> list[BaseRoute]:
        return [iotda.described(action), *app.routes]

    async def on_http_error(request: Request, error: Exception) -> Response:
        """A path with other methods says so, and which they are."""
        assert isinstance(error, HTTPException)
        if methods := methods_at(routes(), request.url.path):
            answer = await errors.on_http_error(request, HTTPException(405))
            answer.headers["Allow"] = ", ".join(methods)
            return answer
        return await errors.on_http_error(request, error)

    handlers = {**HANDLERS, HTTPException: on_http_error}
    app = FastAPI(openapi_url=None, exception_handlers=handlers)
    for part in PARTS:
        app.include_router(part.router(services))
    app.include_router(openapi.router(routes))
    front = Starlette(routes=[action], exception_handlers=handlers)
    front.router.default = app
    return Front(front, services)


def methods_at(routes: Sequence[BaseRoute], path: str) -> list[str]:
    """Return the methods that a path is served with, whichever routes have them."""
    serving = (one for one in iter_route_contexts(routes) if one.path_regex is not None and one.path_regex.match(path))
    return sorted({method for route in serving for method in route.methods or ()})


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
            app, receive = await self._admitted(scope, guard.limited(receive, guard.max_body(scope["path"])))
            await app(scope, receive, send_identified)
        except ClientDisconnect:
            return  # whoever goes away in the middle of a body waits for no answer
        except Exception:  # noqa: BLE001 - the guard; the framework has answered 500
            self._services.statistics.internal_errors += 1
            complain(f"request {request_id} failed\n{traceback.format_exc()}")

    async def _admitted(self, scope: Scope, receive: Receive) -> tuple[ASGIApp, Receive]:
        """Choose who answers, the application or a refusal, and what is left to receive."""
        callers, path, headers = self._services.callers, scope["path"], dict(scope["headers"])
        claim = callers.claim(headers)
        if isinstance(claim, Response):
            return claim, receive
        if objection := guard.objection(path, headers):
            return objection, receive
        if claim is not None:
            proved = await callers.proved(claim, scope, headers, receive)
            if isinstance(proved, Response):
                return proved, receive
            receive = proved
        return self._services.tenant.objection(path, headers) or self._app, receive
