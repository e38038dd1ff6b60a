"""Which devices a list is of, and which part of it a page: the vendor's query parameters."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice

from broker.auth.registry import RECORD_BITS, Device, record_id_from
from broker.control_api.device_answers import Status
from broker.control_api.paging import Page, Span, read_query
from broker.control_api.terms import DeviceName, Identifier, NodeId, ProductId

COUNT_OF_A_SECOND = (1 << RECORD_BITS) - 1

StatusOf = Callable[[Device], Status]
Criterion = Callable[[Device], bool]


class DeviceQuery(Page, Span):
    """Unknown parameters are ignored; there are no devices behind gateways, so of any gateway the list is empty."""

    product_id: ProductId | None = None
    gateway_id: Identifier | None = None
    node_id: NodeId | None = None
    device_name: DeviceName | None = None
    status: Status | None = None

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
    return read_query(DeviceQuery, parameters)
