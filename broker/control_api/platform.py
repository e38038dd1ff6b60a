"""Our own administration: devices, sessions, the journal as a stream, statistics, commands, stop."""

from collections.abc import AsyncIterator
from dataclasses import fields
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from broker import VERSION
from broker.access.delivery import Fate
from broker.access.terms import VERSIONS
from broker.commands import Command
from broker.control_api.errors import json_response, parse
from broker.control_api.guard import objection_to_secrets
from broker.control_api.inventory import listed, wants_secrets
from broker.control_api.provisioning import parse_devices
from broker.control_api.services import Services
from broker.errors import InvalidInput
from broker.journal import Journal
from broker.sessions import Session
from broker.statistics import Statistics, resident_kb

EVENTS_PER_CHUNK = 500
LONGEST_ADVANCE_S = 366 * 86_400


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


def router(services: Services) -> APIRouter:
    api = APIRouter(prefix="/_platform", tags=["platform"])

    @api.get("")
    async def describe() -> Response:
        return json_response(_description(services))

    @api.get("/devices")
    async def list_devices(request: Request, secrets: str = "false") -> Response:
        whole = wants_secrets(secrets)
        if whole and (objection := objection_to_secrets(request.headers, callers_are_known=services.callers.are_known)):
            return objection
        devices = [listed(one, services.sessions.get(one.device_id), secrets=whole) for one in services.registry]
        return json_response({"count": len(devices), "devices": devices})

    @api.post("/devices")
    async def provision(request: Request) -> Response:
        count = await services.rotation.provision(parse_devices(await request.body()))
        return json_response({"provisioned": count})

    @api.post("/clock")
    async def advance_clock(request: Request) -> Response:
        wanted = parse(ClockRequest, await request.body())
        services.clock.put_forward(wanted.advance)
        services.journal.write("clock", advanced=wanted.advance)
        return json_response({"utc": services.clock.utc().isoformat()})

    @api.get("/sessions")
    async def list_sessions(device_id: str | None = None) -> Response:
        found = list(services.sessions) if device_id is None else [services.sessions.get(device_id)]
        shown = [_session(services, session) for session in found if session is not None]
        return json_response({"count": len(shown), "sessions": shown})

    @api.get("/journal")
    async def follow_journal() -> StreamingResponse:
        return StreamingResponse(_events(services.journal), media_type="text/event-stream")

    @api.get("/statistics")
    async def statistics() -> Response:
        return json_response(_statistics(services))

    @api.post("/shutdown", status_code=202)
    async def shut_down() -> None:
        services.stop()

    _serve_downlinks(api, services)
    return api


def _serve_downlinks(api: APIRouter, services: Services) -> None:
    @api.post("/devices/{device_id}/commands")
    async def send_command(device_id: str, request: Request) -> Response:
        wanted = parse(CommandRequest, await request.body())
        command = Command(wanted.command_name, wanted.paras, wanted.service_id)
        answer = await services.commands.send(device_id, command, wanted.timeout)
        return json_response({"request_id": answer.request_id, "response": answer.response})

    @api.post("/devices/{device_id}/messages")
    async def send_message(device_id: str, request: Request) -> Response:
        wanted = parse(MessageRequest, await request.body())
        fate = services.messages.send(device_id, wanted.topic, _payload(wanted.payload), wanted.qos)
        return json_response({"delivered": fate is Fate.SENT, "queued": fate is Fate.WAITING}, 202)


def _description(services: Services) -> dict[str, object]:
    return {
        "name": "keyturn",
        "version": VERSION,
        "run": services.run,
        "mqtt": {"host": services.mqtt_host, "port": services.mqtt_port},
        "devices": len(services.registry),
        "sessions": len(services.sessions),
        "journal_records": services.journal.written,
        "journal_records_lost": services.journal.lost,
    }


def _statistics(services: Services) -> dict[str, object]:
    return {
        **{field.name: getattr(services.statistics, field.name) for field in fields(Statistics)},
        "devices": len(services.registry),
        "online": len(services.sessions),
        "stored_states": len(services.stored),
        "journal_records_lost": services.journal.lost,
        "loop_lag_p99_ms": services.loop_lag.p99_ms(),
        "rss_kb": resident_kb(),
    }


def _payload(value: Any) -> bytes:
    """A text goes as it is, everything else as JSON."""
    try:
        return value.encode() if isinstance(value, str) else orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        raise InvalidInput(f"payload: {error}") from None


def _session(services: Services, session: Session) -> dict[str, object]:
    return {
        "device_id": session.device_id,
        "slot": session.slot,
        "secret_version": session.version,
        "current": services.registry.is_current(session.device_id, session.slot, session.version),
        "connected_at": session.connected_at.isoformat(),
        "client_id": session.client_id,
        "peer": session.peer,
        "mqtt": VERSIONS[session.terms.level],
    }


async def _events(journal: Journal) -> AsyncIterator[bytes]:
    """Server-sent events; an event's id is its record's number in this run."""
    async for first, lines in journal.follow():
        for start in range(0, len(lines), EVENTS_PER_CHUNK):
            chunk = enumerate(lines[start : start + EVENTS_PER_CHUNK], first + start)
            yield b"".join(b"id: %d\ndata: %s\n\n" % (number, line) for number, line in chunk)
