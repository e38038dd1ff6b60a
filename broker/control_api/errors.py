"""What the HTTP side refuses with, and IoTDA's body of every error: `{"error_code": …, "error_msg": …}`."""

from collections.abc import Sequence
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
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
    RequestError,
    ResourceInUse,
    StoreError,
    UnknownAction,
    UnknownCommand,
    UnknownDevice,
    UnknownResource,
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
INVALID_PARAMETER = "SCB.00000000"
"""ROMA LINK's code for nearly everything (api-roma/ResetAuthentication)."""


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


class InvalidPath(InvalidInput):
    """An id in a path that is none."""


class InvalidQuery(InvalidInput):
    """A query parameter that is not what it should be."""

    def __init__(self, parameter: str, message: str) -> None:
        super().__init__(message)
        self.parameter = parameter


class WrongContentType(RequestError):
    """A body that only a web page would send."""


class Forbidden(RequestError):
    """A request of a web page, or for secrets by a name that is not ours."""


class Unauthorised(RequestError):
    """A caller without the right token."""


class TokenMissing(Unauthorised):
    """A caller without any token."""


class BadSignature(RequestError):
    """A caller whose signature is not taken; the message says why in the vendor's words."""


class NotSubscribed(RequestError):
    """A call of IoTDA that names another's project or instance."""


class NoSuchInstance(RequestError):
    """A call of ROMA LINK that names another's project or instance."""

    def __init__(self, project_id: str, instance_id: str) -> None:
        super().__init__(f"project_id: {project_id}, instance_id: {instance_id}")


class Unserved(RequestError):
    """What the framework found: an unknown path, a method that a path has not, a request that is no HTTP."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


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
    WrongContentType: WRONG_TYPE,
    Forbidden: FORBIDDEN,
    Unauthorised: UNAUTHORISED,
    BadSignature: BAD_SIGNATURE,
    NotSubscribed: NOT_SUBSCRIBED,
    NoSuchInstance: (500, "ROMA.00110002", "The instance does not exist."),
    UnknownResource: (404, "ROMA.00110006", "The resource does not exist."),
    ResourceInUse: (400, INVALID_PARAMETER, "Parameter is not valid."),
}


def json_response(body: object, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")


def error_body(error: BrokerError) -> dict[str, str]:
    """Build IoTDA's error body; the vendor's text comes first, what we know follows."""
    _, code, text = vendors(error)
    return {"error_code": code, "error_msg": f"{text} {error}".rstrip()}


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


def vendors(error: BrokerError) -> tuple[int, str, str]:
    """Return status, code and text of an error as IoTDA has them."""
    if isinstance(error, Unserved):
        if error.status in (404, 405):
            return error.status, NO_SUCH_API, "The API does not exist:"
        return error.status, *INVALID_FORMAT[1:]
    return next((VENDOR[kind] for kind in type(error).__mro__ if kind in VENDOR), INTERNAL)
