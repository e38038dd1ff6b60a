"""The vendor's IoTDA v5 API: the devices, and their secrets."""

from typing import Literal

from fastapi import APIRouter
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.auth.registry import Slot
from broker.control_api.device_answers import Answers, ChangedDevice, DevicePage, ShownDevice
from broker.control_api.device_query import DeviceQuery, parse_query
from broker.control_api.device_requests import AddDevice, UpdateDevice
from broker.control_api.documented import documented
from broker.control_api.errors import json_response, parse
from broker.control_api.guard import require_trust
from broker.control_api.paging import QUERY_ERRORS
from broker.control_api.services import Services
from broker.control_api.terms import CheckedLater
from broker.errors import AlreadyFrozen, DeviceExists, InvalidInput, NotFrozen, UnknownDevice

DEVICES = "/v5/iot/{project_id}/devices"
DEVICE = f"{DEVICES}/{{device_id}}"
SLOTS = {"PRIMARY": Slot.PRIMARY, "SECONDARY": Slot.SECONDARY}


class ResetSecret(BaseModel):
    """The body of resetSecret: every field may be left out or null, unknown fields are ignored."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    secret: CheckedLater | None = Field(default=None, repr=False)
    force_disconnect: bool | None = None
    secret_type: Literal["PRIMARY", "SECONDARY"] | None = None


class ActionQuery(BaseModel):
    """Read by hand: a model would cost a wave more than the whole of its answer."""

    action_id: Literal["resetSecret"]


class NewSecret(BaseModel):
    device_id: str
    secret: str
    secret_type: Literal["PRIMARY", "SECONDARY"]


RESET_SECRET = documented(body=ResetSecret, query=ActionQuery, answer=NewSecret, errors=[UnknownDevice])


def action_route(services: Services) -> Route:
    """The route of resetSecret; outside FastAPI's machinery, because a wave calls it ten thousand times."""

    async def reset_secret(request: Request) -> Response:
        action = request.query_params.get("action_id")
        if action != "resetSecret":
            raise InvalidInput(f"action_id: expected 'resetSecret', not {action!r}")
        wanted = parse(ResetSecret, await request.body())
        device_id, secret_type = request.path_params["device_id"], wanted.secret_type or "PRIMARY"
        secret = await services.rotation.reset_secret(
            device_id,
            SLOTS[secret_type],
            wanted.secret,
            force=bool(wanted.force_disconnect),
            request_id=request.state.request_id,
        )
        return json_response({"device_id": device_id, "secret": secret.value, "secret_type": secret_type})

    return Route(f"{DEVICE}/action", reset_secret, methods=["POST"])


def described(action: Route) -> APIRoute:
    """The same route as the API's description knows routes; it serves nobody."""
    return APIRoute(action.path, action.endpoint, methods=["POST"], tags=["IoTDA"], **RESET_SECRET)


def router(services: Services) -> APIRouter:
    api = APIRouter(tags=["IoTDA"])
    _serve_device_management(api, services)

    @api.delete(DEVICE, **documented(status=204, errors=[UnknownDevice]))
    async def delete_device(project_id: str, device_id: str) -> None:  # noqa: ARG001 - any project is accepted
        await services.rotation.delete(device_id)

    @api.post(f"{DEVICE}/freeze", **documented(status=204, errors=[UnknownDevice, AlreadyFrozen]))
    async def freeze_device(project_id: str, device_id: str) -> None:  # noqa: ARG001 - any project is accepted
        await services.rotation.freeze(device_id)

    @api.post(f"{DEVICE}/unfreeze", **documented(status=204, errors=[UnknownDevice, NotFrozen]))
    async def unfreeze_device(project_id: str, device_id: str) -> None:  # noqa: ARG001 - any project is accepted
        await services.rotation.unfreeze(device_id)

    return api


def _serve_device_management(api: APIRouter, services: Services) -> None:
    answers = Answers(services.sessions, services.registrations, services.clock)

    @api.post(DEVICES, **documented(body=AddDevice, answer=ChangedDevice, status=201, errors=[DeviceExists]))
    async def create_device(request: Request) -> Response:
        wanted = parse(AddDevice, await request.body())
        device = wanted.device(services.registry.protocol_of(wanted.product_id))
        return json_response(answers.changed(await services.rotation.create(device)), 201)

    @api.get(DEVICES, **documented(query=DeviceQuery, answer=DevicePage, errors=QUERY_ERRORS))
    async def list_devices(request: Request) -> Response:
        query = parse_query(request.query_params)
        devices, count = query.select(services.registry.newest_first(), answers.status)
        return json_response(answers.page(devices, count))

    @api.get(DEVICE, **documented(answer=ShownDevice, errors=[UnknownDevice]))
    async def show_device(device_id: str, request: Request) -> Response:
        require_trust(request.headers, callers_are_known=services.callers.are_known)
        device = services.registry.get(device_id)
        if device is None:
            raise UnknownDevice(device_id)
        return json_response(answers.shown(device))

    @api.put(DEVICE, **documented(body=UpdateDevice, answer=ChangedDevice, errors=[UnknownDevice]))
    async def update_device(device_id: str, request: Request) -> Response:
        wanted = parse(UpdateDevice, await request.body())
        return json_response(answers.changed(await services.rotation.update(device_id, wanted.changes())))
