"""The HTTP application: routes, and what every answer has in common."""

import sys
import traceback
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from broker.control_api import bulk_resets, downlinks, errors, guard, iotda, openapi, platform
from broker.control_api.services import Services
from broker.errors import BrokerError, InvalidInput


async def on_http_error(request: Request, error: Exception) -> Response:
    """Say with a wrong method which ones there are, beside what every such answer says."""
    assert isinstance(error, HTTPException)
    answer = await errors.on_http_error(request, error)
    answer.headers.update(error.headers or {})
    return answer


async def on_unfit_parameter(request: Request, error: Exception) -> Response:
    """Answer what FastAPI found in a parameter of a route's signature."""
    assert isinstance(error, RequestValidationError)
    found = [{**one, "loc": one["loc"][1:]} for one in error.errors()]
    return await errors.on_broker_error(request, InvalidInput(errors.describe(found)))


HANDLERS: dict[Any, Any] = {
    BrokerError: errors.on_broker_error,
    HTTPException: on_http_error,
    RequestValidationError: on_unfit_parameter,
    Exception: errors.on_crash,
}


def build(services: Services) -> ASGIApp:
    """Make the application: resetSecret alone at the front, where a wave of them is cheap, then FastAPI."""
    app = FastAPI(openapi_url=None, exception_handlers=HANDLERS)
    app.include_router(iotda.router(services))
    app.include_router(bulk_resets.router(services))
    app.include_router(downlinks.router(services))
    app.include_router(platform.router(services))
    action = iotda.action_route(services)
    app.include_router(openapi.router(lambda: [iotda.described(action), *app.routes]))
    return Front(Starlette(routes=[action, Mount("", app)], exception_handlers=HANDLERS), services)


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
        except Exception:  # noqa: BLE001 - the guard; the framework has answered 500
            self._services.statistics.internal_errors += 1
            sys.stderr.write(f"keyturn: request {request_id} failed\n{traceback.format_exc()}")

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
