"""What the API's description says of a route, beside what the route's signature tells."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from broker.errors import BrokerError

KEY = "x-keyturn"
JSON, LINES_OF_JSON, EVENTS = "application/json", "application/x-ndjson", "text/event-stream"


@dataclass(frozen=True, slots=True)
class Documented:
    """One route's part of the description; `answer` is any type that pydantic can describe."""

    body: type[BaseModel] | None = None
    answer: Any = None
    status: int = 200
    errors: Sequence[type[BrokerError]] = ()
    query: type[BaseModel] | None = None
    body_is_lines: bool = False
    answer_media: str = JSON


def documented(
    *,
    body: type[BaseModel] | None = None,
    answer: Any = None,
    status: int = 200,
    errors: Sequence[type[BrokerError]] = (),
    query: type[BaseModel] | None = None,
    body_is_lines: bool = False,
    answer_media: str = JSON,
) -> dict[str, Any]:
    """Make the keyword arguments of a route: the model of its body, of its answer, and what it may refuse with.

    What every route may refuse with is not repeated, nor are the errors of a body or a query that does not fit its
    model. `query` is for parameters that the route's signature does not show; `body_is_lines`: `body` is the model of
    each line of JSON.
    """
    said = Documented(body, answer, status, tuple(errors), query, body_is_lines, answer_media)
    return {"status_code": status, "response_model": None, "openapi_extra": {KEY: said}}
