"""Which devices a list of ROMA LINK is of, and which part of it a page: the vendor's query parameters."""

from collections.abc import Callable, Iterable, Mapping
from math import inf
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from broker.auth.roma import RomaDevice
from broker.control_api.errors import InvalidQuery, describe
from broker.control_api.terms import RomaDeviceName, RomaNodeId, ShortText

LONGEST_PAGE = 999
DIRECT = 0
"""The vendor's node type of what is neither a gateway nor behind one."""
ALIKE = ("product_id", "device_name", "client_id", "node_id", "app_id")


class RomaDeviceQuery(BaseModel):
    """A `limit` above 999 means 999; every device is a direct one; unknown parameters are ignored."""

    model_config = ConfigDict(hide_input_in_errors=True)

    limit: Annotated[int, Field(ge=1)] = 10
    offset: Annotated[int, Field(ge=0)] = 0
    product_id: Annotated[int, Field(ge=0, le=99_999_999_999_999_999)] | None = None
    device_name: RomaDeviceName | None = None
    client_id: ShortText | None = None
    node_id: RomaNodeId | None = None
    app_id: ShortText | None = None
    online_status: Annotated[str, Field(pattern=r"^[012](,[012])*$")] | None = None
    node_type: Annotated[int, Field(ge=0, le=2)] = DIRECT
    created_date_start: Annotated[int, Field(ge=0, description="milliseconds")] = 0
    created_date_end: Annotated[int, Field(ge=0, description="milliseconds")] | None = None

    def select(
        self, newest_first: Iterable[RomaDevice], online_status: Callable[[RomaDevice], int]
    ) -> tuple[list[RomaDevice], int]:
        """Return the page's devices, and how many all pages have."""
        wanted = {name: value for name in ALIKE if (value := getattr(self, name)) is not None}
        matching = [one for one in newest_first if all(getattr(one, name) == wanted[name] for name in wanted)]
        if self.node_type != DIRECT:
            matching = []
        if self.online_status is not None:
            matching = [one for one in matching if str(online_status(one)) in self.online_status]
        if self.created_date_start or self.created_date_end is not None:
            end = inf if self.created_date_end is None else self.created_date_end
            matching = [one for one in matching if self.created_date_start <= one.created_ms <= end]
        return matching[self.offset : self.offset + min(self.limit, LONGEST_PAGE)], len(matching)


def parse_query(parameters: Mapping[str, str]) -> RomaDeviceQuery:
    """Read the parameters; raises InvalidQuery."""
    try:
        return RomaDeviceQuery.model_validate(dict(parameters))
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        raise InvalidQuery(str(found[0]["loc"][0]), describe(found)) from None
