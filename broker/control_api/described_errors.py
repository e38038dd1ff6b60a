"""What a route may refuse with: its own errors, and those that every route has in common."""

from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any

from broker.control_api.errors import (
    BAD_SIGNATURE,
    FORBIDDEN,
    HEAD_TOO_LARGE,
    INTERNAL,
    INVALID_FORMAT,
    NO_SUCH_API,
    NOT_SUBSCRIBED,
    TOO_LARGE,
    TOO_SLOW,
    UNAUTHORISED,
    VENDOR,
    WRONG_TYPE,
)
from broker.errors import BrokerError

Refusal = tuple[int, str, str]
"""Status, the vendor's code, the vendor's text."""

ANYWHERE = (
    INVALID_FORMAT,
    UNAUTHORISED,
    BAD_SIGNATURE,
    FORBIDDEN,
    TOO_SLOW,
    TOO_LARGE,
    WRONG_TYPE,
    HEAD_TOO_LARGE,
    INTERNAL,
)
ELSEWHERE = ((404, NO_SUCH_API, "The API does not exist:"), (405, NO_SUCH_API, "The API does not exist:"))
"""A name in a path may hold an escaped slash, and then it is another path."""


HEADERS = {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}


def is_tenants(path: str) -> bool:
    """Whether a path is of a project and an instance."""
    return path.startswith("/v5/iot/")


def refusal_of(error: type[BrokerError]) -> Refusal:
    return next(VENDOR[kind] for kind in error.__mro__ if kind in VENDOR)


def common(path: str) -> Iterator[Refusal]:
    yield from ANYWHERE
    if is_tenants(path):
        yield NOT_SUBSCRIBED
    if "{" in path:
        yield from ELSEWHERE


def answers(refusals: Iterable[Refusal]) -> dict[str, Any]:
    """Describe refusals by their statuses; what is the same everywhere is described once."""
    described = described_by_status(refusals)
    for status, answer in described.items():
        if ANSWERS_OF_ALL.get(f"Refused{status}") == answer:
            described[status] = {"$ref": f"#/components/responses/Refused{status}"}
    return described


def described_by_status(refusals: Iterable[Refusal]) -> dict[str, Any]:
    by_status: dict[int, dict[str, str]] = {}
    for status, code, text in refusals:
        by_status.setdefault(status, {})[code] = text
    return {str(status): _answer(status, dict(sorted(by_status[status].items()))) for status in sorted(by_status)}


def _answer(status: int, texts: dict[str, str]) -> dict[str, Any]:
    codes = {"properties": {"error_code": {"enum": list(texts)}}}
    told = " ".join(f"{code}: {text}" for code, text in texts.items())
    return {
        "description": f"{HTTPStatus(status).phrase}. {told}",
        "headers": HEADERS,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error", **codes}}},
    }


ANSWERS_OF_ALL = {f"Refused{status}": answer for status, answer in described_by_status(ANYWHERE).items()}
