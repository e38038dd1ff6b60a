"""Where an error becomes an answer: one place, and the path says in the shape of which of the vendor's APIs."""

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from broker.control_api import roma_errors
from broker.control_api.errors import Unserved, describe, error_body, json_response, vendors
from broker.errors import BrokerError, InvalidInput, StoreError

ROMA_PATHS = "/v2/"


def is_roma(path: str) -> bool:
    """Whether a path is of ROMA LINK; all others are answered as IoTDA does."""
    return path.startswith(ROMA_PATHS)


def refusal(error: BrokerError, scope: Scope) -> Response:
    """Build the answer to a request that cannot be served."""
    if is_roma(scope["path"]):
        status, code, text = roma_errors.vendors(error, scope["method"], scope["path"])
        body = {"error_code": code, "error_msg": text, "request_id": scope["state"]["request_id"]}
        return json_response(body, status)
    return json_response(error_body(error), vendors(error)[0])


async def on_broker_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, BrokerError)
    return refusal(error, request.scope)


async def on_http_error(request: Request, error: Exception) -> Response:
    """Answer what the framework found: an unknown path, a wrong method, a body that is not text."""
    assert isinstance(error, HTTPException)
    is_unknown = error.status_code in (404, 405)
    detail = f"{request.method} {request.url.path}" if is_unknown else str(error.detail)
    return refusal(Unserved(error.status_code, detail), request.scope)


async def on_unfit_parameter(request: Request, error: Exception) -> Response:
    """Answer what FastAPI found in a parameter of a route's signature."""
    assert isinstance(error, RequestValidationError)
    found = [{**one, "loc": one["loc"][1:]} for one in error.errors()]
    return refusal(InvalidInput(describe(found)), request.scope)


async def on_crash(request: Request, _: Exception) -> Response:
    return refusal(StoreError(), request.scope)
