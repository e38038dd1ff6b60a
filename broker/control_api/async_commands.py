"""The vendor's asynchronous commands, for LwM2M devices."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import orjson
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from broker.async_commands import (
    DEFAULT_EXPIRE_S,
    MAX_EXPIRE_S,
    AsyncCommand,
    CommandStatus,
    NewCommand,
    SendStrategy,
)
from broker.control_api.documented import documented
from broker.control_api.errors import json_response, parse
from broker.control_api.paging import QUERY_ERRORS, Page, Span, read_query
from broker.control_api.services import Services
from broker.control_api.terms import WHOLE
from broker.errors import InvalidInput, UnknownCommand, UnknownDevice
from broker.vendor_time import to_the_second

DEVICE = "/v5/iot/{project_id}/devices/{device_id}"
QUEUE = f"{DEVICE}/async-commands"
HISTORY = f"{DEVICE}/async-commands-history"
MAX_PARAS = 32 << 10

Listing = Callable[[str], Sequence[AsyncCommand]]


class AsyncCommandRequest(BaseModel):
    """`expire_time` is for commands that are sent with delay; 0 and null are the default of 24 hours."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    service_id: Annotated[str, Field(max_length=64)] | None = None
    command_name: Annotated[str, Field(max_length=128)] | None = None
    paras: Any = Field(repr=False)
    expire_time: Annotated[int, Field(ge=0, le=MAX_EXPIRE_S, description="seconds"), WHOLE] | None = None
    send_strategy: SendStrategy | None = None

    def command(self) -> NewCommand:
        """Raises InvalidInput for parameters that are too long, or hold a number beyond 64 bits."""
        try:
            paras = orjson.dumps(self.paras)
        except orjson.JSONEncodeError as error:
            raise InvalidInput(f"paras: {error}") from None
        if len(paras) > MAX_PARAS:
            raise InvalidInput(f"paras: expected at most {MAX_PARAS} bytes of JSON")
        strategy, expire_s = self.send_strategy or SendStrategy.DELAY, self.expire_time or DEFAULT_EXPIRE_S
        return NewCommand(self.service_id, self.command_name, paras, strategy, expire_s)


class CommandFilter(Span):
    status: CommandStatus | None = None
    command_name: Annotated[str, Field(max_length=128)] | None = None

    def of(self, commands: Sequence[AsyncCommand]) -> list[AsyncCommand]:
        return [
            one
            for one in commands
            if self.covers(one.created_at)
            and self.status in (None, one.status)
            and self.command_name in (None, one.wanted.command_name)
        ]


class CommandQuery(Page, CommandFilter):
    """A page of the commands that were made in a span of time."""


class ListedCommand(BaseModel):
    device_id: str
    command_id: str
    service_id: str | None = None
    command_name: str | None = None
    expire_time: int | None = None
    send_strategy: SendStrategy
    status: CommandStatus
    created_time: str
    sent_time: str | None = None
    delivered_time: str | None = None
    response_time: str | None = None


class ShownCommand(ListedCommand):
    paras: Any
    result: Any = None


class CommandPage(BaseModel):
    """The vendor counts what is queued, and not what is over."""

    count: int | None = None
    marker: str | None = None


class CommandList(BaseModel):
    commands: list[ListedCommand]
    page: CommandPage


class CommandCount(BaseModel):
    count: int


def router(services: Services) -> APIRouter:
    api = APIRouter(tags=["IoTDA asynchronous commands"])
    commands = services.async_commands
    refusals = (InvalidInput, UnknownDevice)
    listing = (*QUERY_ERRORS, UnknownDevice)

    @api.post(QUEUE, **documented(body=AsyncCommandRequest, answer=ShownCommand, status=201, errors=refusals))
    async def create_async_command(device_id: str, request: Request) -> Response:
        wanted = parse(AsyncCommandRequest, await request.body()).command()
        return json_response(_shown(commands.create(device_id, wanted)), 201)

    @api.get(QUEUE, **documented(query=CommandQuery, answer=CommandList, errors=listing))
    async def list_async_commands(device_id: str, request: Request) -> Response:
        return json_response(_page(request, commands.queued(device_id), counted=True))

    @api.get(HISTORY, **documented(query=CommandQuery, answer=CommandList, errors=listing))
    async def list_async_history_commands(device_id: str, request: Request) -> Response:
        return json_response(_page(request, commands.history(device_id), counted=False))

    @api.post(f"{HISTORY}/count", **documented(query=CommandFilter, answer=CommandCount, errors=listing))
    async def count_async_history_commands(device_id: str, request: Request) -> Response:
        wanted = read_query(CommandFilter, request.query_params)
        return json_response({"count": len(wanted.of(commands.history(device_id)))})

    @api.get(f"{QUEUE}/{{command_id}}", **documented(answer=ShownCommand, errors=(UnknownDevice, UnknownCommand)))
    async def show_async_device_command(device_id: str, command_id: str) -> Response:
        return json_response(_shown(commands.get(device_id, command_id)))

    return api


def _page(request: Request, commands: Sequence[AsyncCommand], *, counted: bool) -> dict[str, object]:
    query = read_query(CommandQuery, request.query_params)
    fitting = {one.command_id: one for one in query.of(commands)}
    ids = query.cut(list(fitting))
    page = _known(count=len(fitting) if counted else None, marker=ids[-1] if ids else None)
    return {"commands": [_listed(fitting[one]) for one in ids], "page": page}


def _shown(command: AsyncCommand) -> dict[str, object]:
    result = {} if command.result is None else {"result": orjson.Fragment(command.result)}
    return {**_listed(command), "paras": orjson.Fragment(command.wanted.paras), **result}


def _listed(command: AsyncCommand) -> dict[str, object]:
    wanted = command.wanted
    times = {
        "created_time": command.created_at,
        "sent_time": command.sent_at,
        "delivered_time": command.delivered_at,
        "response_time": command.answered_at,
    }
    return _known(
        device_id=command.device_id,
        command_id=command.command_id,
        service_id=wanted.service_id,
        command_name=wanted.command_name,
        expire_time=wanted.expire_s if wanted.send_strategy is SendStrategy.DELAY else None,
        send_strategy=wanted.send_strategy,
        status=command.status,
        **{name: utc and to_the_second(utc) for name, utc in times.items()},
    )


def _known(**fields: object) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}
