"""Our own administration: devices, sessions, the journal as a stream, statistics, commands, stop."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from broker.access.delivery import Fate
from broker.commands import Command
from broker.control_api.documented import EVENTS, documented
from broker.control_api.errors import json_response, parse
from broker.control_api.guard import require_trust
from broker.control_api.inventory import DeviceList, WantsSecrets, listed, wants_secrets
from broker.control_api.platform_answers import (
    Description,
    SessionList,
    ShownStatistics,
    description,
    shown_session,
    statistics,
)
from broker.control_api.provisioning import DeviceLine, parse_devices
from broker.control_api.services import Services
from broker.errors import CommandTimeout, DeviceExists, DeviceOffline, InvalidInput, UnknownDevice
from broker.journal import Journal

EVENTS_PER_CHUNK = 500
LONGEST_ADVANCE_S = 366 * 86_400
LATEST = datetime(9000, 1, 1, tzinfo=UTC)
"""A while before the calendar of this language ends: deadlines lie ahead of the clock."""


class CommandRequest(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    command_name: str
    paras: dict[str, Any] = Field(default_factory=dict, repr=False)
    service_id: str | None = None
    timeout: Annotated[float, Field(gt=0, le=600, description="seconds")] = 20.0


class MessageRequest(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    payload: Any = Field(repr=False)
    topic: Annotated[str, Field(max_length=1024, pattern=r"^[^\x00]+$")] | None = None
    qos: Literal[0, 1] = 1


class ClockRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    advance: Annotated[float, Field(gt=0, le=LONGEST_ADVANCE_S, description="seconds")]


class Provisioned(BaseModel):
    provisioned: int


class ClockTime(BaseModel):
    utc: datetime


class CommandAnswer(BaseModel):
    request_id: str
    response: Any


class MessageFate(BaseModel):
    delivered: bool
    queued: bool


def router(services: Services) -> APIRouter:
    api = APIRouter(prefix="/_platform", tags=["platform"])

    @api.get("", **documented(answer=Description))
    async def describe() -> Response:
        return json_response(description(services))

    @api.get("/devices", **documented(answer=DeviceList, errors=[InvalidInput]))
    async def list_devices(request: Request, secrets: WantsSecrets = "false") -> Response:
        whole = wants_secrets(secrets)
        if whole:
            require_trust(request.headers, callers_are_known=services.callers.are_known)
        devices = _inventory(services, secrets=whole)
        return json_response({"count": len(devices), "devices": devices})

    @api.post("/devices", **documented(body=DeviceLine, body_is_lines=True, answer=Provisioned, errors=[DeviceExists]))
    async def provision(request: Request) -> Response:
        count = await services.rotation.provision(parse_devices(await request.body(), services.registry.protocol_of))
        return json_response({"provisioned": count})

    @api.post("/clock", **documented(body=ClockRequest, answer=ClockTime))
    async def advance_clock(request: Request) -> Response:
        wanted = parse(ClockRequest, await request.body())
        await services.rotation.at_once(partial(_advance, services, wanted.advance))
        return json_response({"utc": services.clock.utc().isoformat()})

    @api.get("/sessions", **documented(answer=SessionList))
    async def list_sessions(device_id: str | None = None) -> Response:
        found = list(services.sessions) if device_id is None else [services.sessions.get(device_id)]
        shown = [shown_session(services, session) for session in found if session is not None]
        return json_response({"count": len(shown), "sessions": shown})

    @api.get("/journal", **documented(answer=str, answer_media=EVENTS))
    async def follow_journal() -> StreamingResponse:
        return StreamingResponse(_events(services.journal), media_type=EVENTS)

    @api.get("/statistics", **documented(answer=ShownStatistics))
    async def show_statistics() -> Response:
        return json_response(statistics(services, await services.figures()))

    @api.post("/shutdown", **documented(status=202))
    async def shut_down() -> Response:
        services.stop()
        return Response(status_code=202)

    _serve_downlinks(api, services)
    return api


def _inventory(services: Services, *, secrets: bool) -> list[dict[str, object]]:
    sessions, registrations = services.sessions, services.registrations
    return [
        listed(one, sessions.get(one.device_id), registrations.of(one.device_id), secrets=secrets)
        for one in services.registry
    ]


def _serve_downlinks(api: APIRouter, services: Services) -> None:
    @api.post(
        "/devices/{device_id}/commands",
        **documented(body=CommandRequest, answer=CommandAnswer, errors=[UnknownDevice, DeviceOffline, CommandTimeout]),
    )
    async def send_command(device_id: str, request: Request) -> Response:
        wanted = parse(CommandRequest, await request.body())
        command = Command(wanted.command_name, wanted.paras, wanted.service_id)
        answer = await services.commands.send(device_id, command, wanted.timeout)
        return json_response({"request_id": answer.request_id, "response": answer.response})

    @api.post(
        "/devices/{device_id}/messages",
        **documented(body=MessageRequest, answer=MessageFate, status=202, errors=[UnknownDevice, DeviceOffline]),
    )
    async def send_message(device_id: str, request: Request) -> Response:
        wanted = parse(MessageRequest, await request.body())
        fate = await services.messages.send(device_id, wanted.topic, _payload(wanted.payload), wanted.qos)
        return json_response({"delivered": fate is Fate.SENT, "queued": fate is Fate.WAITING}, 202)


def _advance(services: Services, seconds: float) -> None:
    if services.clock.utc() + timedelta(seconds=seconds) > LATEST:
        raise InvalidInput(f"advance: expected a time before the year {LATEST:%Y}")
    services.clock.put_forward(seconds)
    services.journal.write("clock", advanced=seconds)


def _payload(value: Any) -> bytes:
    """A text goes as it is, everything else as JSON."""
    try:
        return value.encode() if isinstance(value, str) else orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        raise InvalidInput(f"payload: {error}") from None


async def _events(journal: Journal) -> AsyncIterator[bytes]:
    """Server-sent events; an event's id is its record's number in this run."""
    async for first, lines in journal.follow():
        for start in range(0, len(lines), EVENTS_PER_CHUNK):
            chunk = enumerate(lines[start : start + EVENTS_PER_CHUNK], first + start)
            yield b"".join(b"id: %d\ndata: %s\n\n" % (number, line) for number, line in chunk)
