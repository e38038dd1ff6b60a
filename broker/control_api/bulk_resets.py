"""Many resets in one call, in waves if the caller wants them paced: the vendor's batch tasks have none of this kind."""

import asyncio
import math
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Annotated, Literal, Self

import orjson
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.config import JsonDict
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from broker.control_api.documented import LINES_OF_JSON, documented
from broker.control_api.errors import error_body, parse
from broker.control_api.guard import RESETS, require_trust
from broker.control_api.iotda import SLOTS
from broker.control_api.services import Services
from broker.control_api.terms import WHOLE
from broker.errors import BrokerError, InvalidInput

MAX_DEVICES = 30_000
"""As many targets as a batch task of the vendor's may have (huaweicloudsdkiotda, CreateBatchTask)."""
LONGEST_S = 3600
AT_ONCE = 500
"""So many resets are asked for before their outcomes are told: enough for one sync of the disk to serve hundreds."""

STRICT = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)
SecretType = Literal["PRIMARY", "SECONDARY"]


class Pace(BaseModel):
    """So many devices in a wave, and so many seconds from the start of one wave to that of the next."""

    model_config = STRICT

    size: Annotated[int, Field(ge=1), WHOLE]
    every: Annotated[float, Field(gt=0, le=LONGEST_S, description="seconds")]


class DeviceReset(BaseModel):
    """One device, and the secret that it is to get; the platform generates one where there is none."""

    model_config = STRICT

    device_id: str
    secret: str | None = Field(default=None, repr=False)


ONE_PLAN: JsonDict = {
    "oneOf": [
        {"required": ["device_ids"], "properties": {"device_ids": {"type": "array"}, "resets": {"type": "null"}}},
        {"required": ["resets"], "properties": {"resets": {"type": "array"}, "device_ids": {"type": "null"}}},
    ]
}
UNIQUE: JsonDict = {"uniqueItems": True}
DeviceIds = Annotated[list[str], Field(min_length=1, max_length=MAX_DEVICES, json_schema_extra=UNIQUE)]


class ResetSecrets(BaseModel):
    """The devices, either by `device_ids` or, some with secrets of the caller's, by `resets`; none of them twice."""

    model_config = STRICT | ConfigDict(json_schema_extra=ONE_PLAN)

    device_ids: DeviceIds | None = None
    resets: Annotated[list[DeviceReset], Field(min_length=1, max_length=MAX_DEVICES)] | None = None
    secret_type: SecretType = "PRIMARY"
    force_disconnect: bool = False
    pace: Pace | None = None

    @model_validator(mode="after")
    def _is_one_plan(self) -> Self:
        if (self.device_ids is None) == (self.resets is None):
            raise ValueError("expected device_ids or resets, and not both")
        wanted = self.wanted
        seen: set[str] = set()
        for one in wanted:
            if one.device_id in seen:
                raise ValueError(f"device {one.device_id!r} is there twice")
            seen.add(one.device_id)
        if self.pace and (math.ceil(len(wanted) / self.pace.size) - 1) * self.pace.every > LONGEST_S:
            raise ValueError(f"pace: the last wave would start later than after {LONGEST_S} s")
        return self

    @property
    def wanted(self) -> Sequence[DeviceReset]:
        return self.resets or [DeviceReset(device_id=one) for one in self.device_ids or ()]

    def waves(self) -> Iterator[tuple[float, Sequence[DeviceReset]]]:
        """Yield what is to be asked for together, and when: seconds from the start."""
        wanted, size = self.wanted, self.pace.size if self.pace else MAX_DEVICES
        for number, start in enumerate(range(0, len(wanted), size)):
            due_s = number * self.pace.every if self.pace else 0.0
            wave = wanted[start : start + size]
            for first in range(0, len(wave), AT_ONCE):
                yield due_s, wave[first : first + AT_ONCE]


class ResetOutcome(BaseModel):
    """One line: what became of one device; the secret that it has now, or the vendor's error."""

    device_id: str
    secret_type: SecretType
    secret: str | None = Field(default=None, repr=False)
    error_code: str | None = None
    error_msg: str | None = None


class ResetCounts(BaseModel):
    """The last line."""

    count: int
    reset: int
    failed: int


def router(services: Services) -> APIRouter:
    api = APIRouter(tags=["platform"])

    says = documented(
        body=ResetSecrets, answer=ResetOutcome | ResetCounts, errors=(InvalidInput,), answer_media=LINES_OF_JSON
    )

    @api.post(RESETS, **says)
    async def reset_secrets(request: Request) -> Response:
        """Reset a secret of each of many devices.

        The answer is a line of JSON for each device, in the order of the request, as soon as its reset is in force
        and, if it was forced, its session is cut; one that fails stops no other. After the last comes a line of
        counts, and an answer without it was broken off. A caller who goes away stops the waves that have not begun;
        the resets of the wave that has may be in force all the same, as that of a single call without a reply may.
        Who sends the secrets can repeat such a call.
        """
        require_trust(request.headers, callers_are_known=services.callers.are_known)
        wanted = parse(ResetSecrets, await request.body())
        return StreamingResponse(_perform(services, wanted, request.state.request_id), media_type=LINES_OF_JSON)

    return api


async def _perform(services: Services, wanted: ResetSecrets, request_id: str) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    begun, count, failed = loop.time(), 0, 0
    for due_s, wave in wanted.waves():
        await asyncio.sleep(max(0.0, begun + due_s - loop.time()))
        outcomes = await _reset(services, wanted, wave, request_id)
        count += len(outcomes)
        failed += sum("error_code" in one for one in outcomes)
        yield _lines(outcomes)
    yield _lines([{"count": count, "reset": count - failed, "failed": failed}])


async def _reset(
    services: Services, wanted: ResetSecrets, wave: Sequence[DeviceReset], request_id: str
) -> list[dict[str, object]]:
    """Reset side by side; the outcomes are in the order of the wave."""

    async def reset(one: DeviceReset) -> dict[str, object]:
        about: dict[str, object] = {"device_id": one.device_id, "secret_type": wanted.secret_type}
        try:
            secret = await services.rotation.reset_secret(
                one.device_id,
                SLOTS[wanted.secret_type],
                one.secret,
                force=wanted.force_disconnect,
                request_id=request_id,
            )
        except BrokerError as error:
            return {**about, **error_body(error)}
        return {**about, "secret": secret.value}

    async with asyncio.TaskGroup() as tasks:
        resets = [tasks.create_task(reset(one), name=f"reset[{one.device_id}]") for one in wave]
    return [one.result() for one in resets]


def _lines(objects: Sequence[object]) -> bytes:
    return b"".join(orjson.dumps(one) + b"\n" for one in objects)
