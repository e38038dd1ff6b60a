"""What callers are told of messages, and of what devices answer."""

from datetime import datetime
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict

from broker.control_api.errors import VENDOR
from broker.errors import DeviceOffline
from broker.mailbox import DeviceMessage, Failure, Mailbox

NOT_SUBSCRIBED = ("IOTDA.014112", "Send to device failed, device not subscribe topic.")
TIMED_OUT = (
    "IOTDA.014111",
    "Command request timed out. Check whether the device returns a response within the specified time "
    "after receiving the request.",
)
ERRORS = {Failure.OFFLINE: VENDOR[DeviceOffline][1:], Failure.NOT_SUBSCRIBED: NOT_SUBSCRIBED}
"""The vendor has a code for these only."""


class MessageResult(BaseModel):
    status: str
    created_time: str
    finished_time: str | None = None


class MessageAnswer(BaseModel):
    message_id: str
    result: MessageResult


class ErrorInfo(BaseModel):
    error_code: str
    error_msg: str


class ShownMessage(MessageResult):
    """`topic` is whole; a message without one goes to the device's usual topic."""

    message_id: str
    name: str | None = None
    message: Any
    encoding: str
    payload_format: str
    topic: str | None = None
    properties: Any = None
    error_info: ErrorInfo | None = None


class NoMessage(BaseModel):
    """A message that is not there."""

    model_config = ConfigDict(extra="forbid")


class ShownMessages(BaseModel):
    device_id: str
    messages: list[ShownMessage]


class Answered(BaseModel):
    """The device's answer, or why there is none: a time-out is no HTTP error."""

    response: Any = None
    error_code: str | None = None
    error_msg: str | None = None


class CommandAnswer(Answered):
    command_id: str


class PropertiesAnswer(Answered):
    request_id: str


def posted(one: DeviceMessage) -> dict[str, object]:
    return {"message_id": one.message_id, "result": _result(one)}


def shown(one: DeviceMessage) -> dict[str, object]:
    error = ERRORS.get(one.failure) if one.failure else None
    return {
        "message_id": one.message_id,
        **orjson.loads(one.request),
        **_result(one),
        **({"error_info": dict(zip(("error_code", "error_msg"), error, strict=True))} if error else {}),
    }


def listed(device_id: str, mailbox: Mailbox) -> dict[str, object]:
    return {"device_id": device_id, "messages": [shown(one) for one in mailbox]}


def timed_out() -> dict[str, object]:
    return dict(zip(("error_code", "error_msg"), TIMED_OUT, strict=True))


def _result(one: DeviceMessage) -> dict[str, object]:
    finished = {} if one.finished_at is None else {"finished_time": _to_the_second(one.finished_at)}
    return {"status": one.status, "created_time": _to_the_second(one.created_at), **finished}


def _to_the_second(utc: datetime) -> str:
    return f"{utc:%Y%m%dT%H%M%SZ}"
