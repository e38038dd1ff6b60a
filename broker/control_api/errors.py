"""Every error as the vendor's body: `{"error_code": …, "error_msg": …}`."""

from collections.abc import Sequence
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from broker.errors import (
    AlreadyFrozen,
    BrokerError,
    CommandTimeout,
    DeviceExists,
    DeviceOffline,
    InvalidInput,
    NotFrozen,
    ProductHasDevices,
    StoreError,
    UnknownAction,
    UnknownCommand,
    UnknownDevice,
    UnknownRule,
)

M = TypeVar("M", bound=BaseModel)

INVALID_DATA = (400, "IOTDA.000006", "Invalid input data.")
UNKNOWN = (404, *INVALID_DATA[1:])
INVALID_FORMAT = (400, "IOTDA.000008", "Invalid input. The request format is invalid.")
TOO_LARGE = (413, *INVALID_FORMAT[1:])
WRONG_TYPE = (415, *INVALID_FORMAT[1:])
TOO_SLOW = (408, *INVALID_FORMAT[1:])
HEAD_TOO_LARGE = (431, *INVALID_FORMAT[1:])
FORBIDDEN = (403, "IOTDA.000022", "Operation not allowed.")
NOT_SUBSCRIBED = (
    403,
    "IOTDA.000021",
    "Operation not allowed. User not found by IAM token or the authorized user has not subscribed IOTDA service.",
)
UNAUTHORISED = (401, "IOTDA.000002", "Authentication failed.")
BAD_SIGNATURE = (401, "APIGW.0301", "Incorrect IAM authentication information:")
INTERNAL = (500, "IOTDA.000001", "Internal server error.")
NO_SUCH_API = "APIGW.0101"


class InvalidBody(InvalidInput):
    """A body that does not fit its model; the message names the field and never repeats its value."""


class MalformedBody(InvalidInput):
    """A body that is not JSON."""


class LimitOutOfRange(InvalidInput):
    """A page of no size, or of too many devices."""


class InvalidTime(InvalidInput):
    """A moment that is not written as the vendor writes moments."""


class TimesOutOfOrder(InvalidInput):
    """A span of time that ends before it starts."""


class BodyTooLarge(InvalidInput):
    """A body that is not read to its end."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body has more than {limit} bytes")


VENDOR: dict[type[BrokerError], tuple[int, str, str]] = {
    InvalidInput: INVALID_DATA,
    MalformedBody: INVALID_FORMAT,
    BodyTooLarge: TOO_LARGE,
    InvalidTime: (400, "IOTDA.000009", "Invalid input. Invalid time format."),
    TimesOutOfOrder: (400, "IOTDA.000010", "Invalid input. The start time must be earlier than the end time."),
    LimitOutOfRange: (400, "IOTDA.000017", "Invalid input. The specified parameter 'limit' is out of range."),
    DeviceExists: (400, "IOTDA.014031", "Invalid input. The device already exists."),
    UnknownDevice: (404, "IOTDA.014000", "The device does not exist."),
    ProductHasDevices: (409, *INVALID_DATA[1:]),
    UnknownCommand: UNKNOWN,
    UnknownRule: UNKNOWN,
    UnknownAction: UNKNOWN,
    DeviceOffline: (403, "IOTDA.014016", "The device is not online."),
    AlreadyFrozen: (403, "IOTDA.014039", "The device is already frozen."),
    NotFrozen: (403, "IOTDA.014040", "The device is not frozen."),
    CommandTimeout: (504, "IOTDA.014111", "The command timed out."),
    StoreError: INTERNAL,
}


def json_response(body: object, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")


def error_response(vendor: tuple[int, str, str], detail: str = "") -> Response:
    """Build the vendor's error body; the vendor's text comes first, what we know follows."""
    return json_response(_body(vendor, detail), vendor[0])


def error_body(error: BrokerError) -> dict[str, str]:
    """Build the vendor's error body for what the platform has raised."""
    return _body(_vendor(error), str(error))


def parse(model: type[M], body: bytes) -> M:
    """Read a JSON body; no body and `null` are an empty object.

    Raises MalformedBody or InvalidBody.
    """
    try:
        return model.model_validate_json(body if body.strip() not in (b"", b"null") else b"{}")
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        kind = MalformedBody if found[0]["type"] == "json_invalid" else InvalidBody
        raise kind(describe(found)) from None


def describe(found: Sequence[Any]) -> str:
    """Say where the first validation error is and what was expected there."""
    first = found[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else str(first["msg"])


async def on_broker_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, BrokerError)
    return error_response(_vendor(error), str(error))


async def on_http_error(request: Request, error: Exception) -> Response:
    """Answer what the framework found: an unknown path, a wrong method, a body that is not text."""
    assert isinstance(error, HTTPException)
    if error.status_code in (404, 405):
        detail = f"{request.method} {request.url.path}"
        return error_response((error.status_code, NO_SUCH_API, "The API does not exist:"), detail)
    return error_response((error.status_code, *INVALID_FORMAT[1:]), str(error.detail))


async def on_crash(_: Request, __: Exception) -> Response:
    return error_response(INTERNAL)


def _vendor(error: BrokerError) -> tuple[int, str, str]:
    return next(VENDOR[kind] for kind in type(error).__mro__ if kind in VENDOR)


def _body(vendor: tuple[int, str, str], detail: str) -> dict[str, str]:
    _, code, text = vendor
    return {"error_code": code, "error_msg": f"{text} {detail}".rstrip()}
