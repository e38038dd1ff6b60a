"""Which NB-IoT devices are registered, and on which secret that rests."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.responses import Response

from broker.auth.registry import Slot
from broker.control_api.documented import documented
from broker.control_api.errors import json_response
from broker.control_api.services import Services
from broker.lwm2m.registrations import Registration


class ShownRegistration(BaseModel):
    """`secret_version` is null for a device that registered in the clear; times in seconds."""

    device_id: str
    location: str
    secure: bool
    secret_version: int | None
    current: bool
    lifetime_s: int
    expires_in_s: float
    queue_mode: bool
    peer: str


class RegistrationList(BaseModel):
    count: int
    registrations: list[ShownRegistration]


def router(services: Services) -> APIRouter:
    api = APIRouter(prefix="/_platform/registrations", tags=["platform"])

    @api.get("", **documented(answer=RegistrationList))
    async def list_registrations(device_id: str | None = None) -> Response:
        known = services.registrations
        found = list(known) if device_id is None else [known.of(device_id)]
        shown = [_shown(services, one) for one in found if one is not None]
        return json_response({"count": len(shown), "registrations": shown})

    return api


def _shown(services: Services, one: Registration[Any]) -> dict[str, object]:
    """A registration that was made in the clear rests on no secret, and so on none that a reset could make stale."""
    version = one.version
    return {
        "device_id": one.device_id,
        "location": one.location,
        "secure": version is not None,
        "secret_version": version,
        "current": version is None or services.registry.is_current(one.device_id, Slot.PRIMARY, version),
        "lifetime_s": one.lifetime_s,
        "expires_in_s": round(one.expires_at - services.clock.now(), 1),
        "queue_mode": one.queue_mode,
        "peer": one.peer.name,
    }
