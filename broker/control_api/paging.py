"""Lists in pages, as the vendor cuts them: the newest first, from a marker on, less an offset."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema

from broker.control_api.errors import InvalidTime, LimitOutOfRange, TimesOutOfOrder, describe
from broker.control_api.terms import RecordId
from broker.errors import InvalidInput

TIME_FORMAT = "%Y%m%dT%H%M%SZ"
QUERY_ERRORS = (LimitOutOfRange, InvalidTime, TimesOutOfOrder)


def _moment(text: str) -> datetime:
    return datetime.strptime(text, TIME_FORMAT).replace(tzinfo=UTC)


WRITTEN = {"type": "string", "format": "basic-date-time", "description": "yyyyMMdd'T'HHmmss'Z', UTC"}
Moment = Annotated[datetime, BeforeValidator(_moment), WithJsonSchema(WRITTEN)]


class Span(BaseModel):
    """What was made in a span of time, its ends included; unknown parameters are ignored."""

    model_config = ConfigDict(hide_input_in_errors=True)

    start_time: Moment | None = None
    end_time: Moment | None = None

    def covers(self, utc: datetime) -> bool:
        second = utc.replace(microsecond=0)
        return (self.start_time is None or second >= self.start_time) and (
            self.end_time is None or second <= self.end_time
        )


class Page(BaseModel):
    """Unknown parameters are ignored."""

    model_config = ConfigDict(hide_input_in_errors=True)

    limit: Annotated[int, Field(ge=1, le=50)] = 10
    offset: Annotated[int, Field(ge=0, le=500)] = 0
    marker: RecordId = "f" * 24

    def cut(self, ids: Sequence[str]) -> list[str]:
        """Return the page's part of ids that come the oldest first."""
        newest_first = [one for one in reversed(ids) if one < self.marker.lower()]
        return newest_first[self.offset : self.offset + self.limit]


Q = TypeVar("Q", bound=BaseModel)


def read_query(model: type[Q], parameters: Mapping[str, str]) -> Q:
    """Read the parameters; raises InvalidInput, by its kinds where the vendor has a code for them."""
    try:
        query = model.model_validate(dict(parameters))
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        raise _kind_of(found[0]["loc"][0])(describe(found)) from None
    if isinstance(query, Span) and query.start_time and query.end_time and query.start_time > query.end_time:
        raise TimesOutOfOrder
    return query


def _kind_of(parameter: int | str) -> type[InvalidInput]:
    match parameter:
        case "limit":
            return LimitOutOfRange
        case "start_time" | "end_time":
            return InvalidTime
    return InvalidInput
