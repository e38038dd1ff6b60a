"""What the API's description says of a route, beside what the route's signature tells."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from broker.errors import BrokerError


def documented(
    *,
    body: type[BaseModel] | None = None,
    answer: type[BaseModel] | None = None,
    status: int = 200,
    errors: Sequence[type[BrokerError]] = (),
) -> dict[str, Any]:
    """Make the keyword arguments of a route: the model of its body, of its answer, and what it may refuse with."""
    return {"status_code": status, "response_model": None, "responses": {status: {"model": answer} if answer else {}}}
