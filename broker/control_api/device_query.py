"""Which devices a list is of, and which part of it a page: the vendor's query parameters."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema

from broker.auth.registry import RECORD_BITS, Device, record_id_from
from broker.control_api.device_answers import Status
from broker.control_api.errors import InvalidTime, LimitOutOfRange, TimesOutOfOrder, describe
from broker.control_api.terms import DeviceName, Identifier, NodeId, ProductId, RecordId
from broker.errors import InvalidInput

TIME_FORMAT = "%Y%m%dT%H%M%SZ"
COUNT_OF_A_SECOND = (1 << RECORD_BITS) - 1

QUERY_ERRORS = (LimitOutOfRange, InvalidTime, TimesOutOfOrder)

StatusOf = Callable[[Device], Status]
Criterion = Callable[[Device], bool]


def _moment(text: str) -> datetime:
    return datetime.strptime(text, TIME_FORMAT).replace(tzinfo=UTC)


WRITTEN = {"type": "string", "format": "basic-date-time", "description": "yyyyMMdd'T'HHmmss'Z', UTC"}
Moment = Annotated[datetime, BeforeValidator(_moment), WithJsonSchema(WRITTEN)]


class DeviceQuery(BaseModel):
    """Unknown parameters are ignored; there are no devices behind gateways, so of any gateway the list is empty."""

    model_config = ConfigDict(hide_input_in_errors=True)

    product_id: ProductId | None = None
    gateway_id: Identifier | None = None
    node_id: NodeId | None = None
    device_name: DeviceName | None = None
    status: Status | None = None
    start_time: Moment | None = None
    end_time: Moment | None = None
    limit: Annotated[int, Field(ge=1, le=50)] = 10
    offset: Annotated[int, Field(ge=0, le=500)] = 0
    marker: RecordId = "f" * 24

    def select(self, newest_first: Iterable[Device], status_of: StatusOf) -> tuple[list[Device], int]:
        """Return the page's devices, those after the marker less the first `offset`, and how many all pages have."""
        for criterion in self._criteria(status_of):
            newest_first = filter(criterion, newest_first)
        matching, marker = list(newest_first), int(self.marker, 16)
        older = (one for one in matching if one.record_id < marker)
        return list(islice(older, self.offset, self.offset + self.limit)), len(matching)

    def _criteria(self, status_of: StatusOf) -> Iterator[Criterion]:
        """Only what was asked for is looked at: a list of all devices is as long as there are devices."""
        if self.gateway_id is not None:
            yield lambda _: False
        if (product_id := self.product_id) is not None:
            yield lambda one: one.product_id == product_id
        if (node_id := self.node_id) is not None:
            yield lambda one: one.node_id == node_id
        if (device_name := self.device_name) is not None:
            yield lambda one: one.device_name == device_name
        if (start := self.start_time) is not None:
            first = record_id_from(start)
            yield lambda one: one.record_id >= first
        if (end := self.end_time) is not None:
            last = record_id_from(end) | COUNT_OF_A_SECOND
            yield lambda one: one.record_id <= last
        if (status := self.status) is not None:
            yield lambda one: status_of(one) is status


def parse_query(parameters: Mapping[str, str]) -> DeviceQuery:
    """Read the parameters; raises InvalidInput, by its kinds where the vendor has a code for them."""
    try:
        query = DeviceQuery.model_validate(dict(parameters))
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        raise _kind_of(found[0]["loc"][0])(describe(found)) from None
    if query.start_time and query.end_time and query.start_time > query.end_time:
        raise TimesOutOfOrder
    return query


def _kind_of(parameter: int | str) -> type[InvalidInput]:
    match parameter:
        case "limit":
            return LimitOutOfRange
        case "start_time" | "end_time":
            return InvalidTime
    return InvalidInput
