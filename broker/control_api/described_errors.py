"""What a route may refuse with: its own errors, and those that every route has in common, as its API writes them."""

from collections.abc import Iterable, Iterator
from http import HTTPStatus
from inspect import signature
from typing import Any

from broker.control_api import roma_errors
from broker.control_api.errors import (
    BadSignature,
    BodyTooLarge,
    Forbidden,
    NoSuchInstance,
    NotSubscribed,
    TokenMissing,
    Unauthorised,
    Unserved,
    WrongContentType,
    vendors,
)
from broker.control_api.refusals import is_roma
from broker.errors import BrokerError, StoreError

Refusal = tuple[int, str, str]
"""Status, the vendor's code, the vendor's text."""

ANYWHERE = (
    *(Unserved(status, "") for status in (400, 408, 431)),
    *(kind("") for kind in (Unauthorised, BadSignature, Forbidden, WrongContentType, StoreError)),
    BodyTooLarge(0),
)
ELSEWHERE = tuple(Unserved(status, "") for status in (404, 405))
"""A name in a path may hold an escaped slash, and then it is another path."""

IOTDA_TENANT, ROMA_TENANT = (NotSubscribed(""),), (NoSuchInstance("", ""), TokenMissing(""))

HEADERS = {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}


def is_tenants(path: str) -> bool:
    """Whether a path is of a project and an instance."""
    return path.startswith("/v5/iot/")


def sample(kind: type[BrokerError]) -> BrokerError:
    """Make an error of this kind that says nothing in particular."""
    count = len(signature(kind.__init__).parameters) - 1 if "__init__" in kind.__dict__ else 1
    return kind(*[0] * count) if count != 1 else kind("")


def refusal_of(error: BrokerError, method: str, path: str) -> Refusal:
    return roma_errors.vendors(error, method, path) if is_roma(path) else vendors(error)


def common(path: str) -> Iterator[BrokerError]:
    yield from ANYWHERE
    if is_tenants(path):
        yield from IOTDA_TENANT
    if is_roma(path):
        yield from ROMA_TENANT
    if "{" in path:
        yield from ELSEWHERE


def answers(errors: Iterable[BrokerError], method: str, path: str) -> dict[str, Any]:
    """Describe refusals by their statuses; what is the same everywhere is described once."""
    schema = "RomaError" if is_roma(path) else "Error"
    described = _by_status((refusal_of(one, method, path) for one in errors), schema)
    for status, answer in described.items():
        if ANSWERS_OF_ALL.get(f"Refused{status}") == answer:
            described[status] = {"$ref": f"#/components/responses/Refused{status}"}
    return described


def _by_status(refusals: Iterable[Refusal], schema: str) -> dict[str, Any]:
    by_status: dict[int, dict[str, str]] = {}
    for status, code, text in refusals:
        by_status.setdefault(status, {})[code] = text
    return {
        str(status): _answer(status, dict(sorted(by_status[status].items())), schema) for status in sorted(by_status)
    }


def _answer(status: int, texts: dict[str, str], schema: str) -> dict[str, Any]:
    codes = {"properties": {"error_code": {"enum": list(texts)}}}
    told = " ".join(f"{code}: {text}" for code, text in texts.items())
    return {
        "description": f"{HTTPStatus(status).phrase}. {told}",
        "headers": HEADERS,
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}", **codes}}},
    }


ANSWERS_OF_ALL = {f"Refused{status}": one for status, one in _by_status(map(vendors, ANYWHERE), "Error").items()}
