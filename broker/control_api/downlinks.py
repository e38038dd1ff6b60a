"""The vendor's IoTDA v5 API: what goes down to a device, messages, commands and properties."""

from collections.abc import Awaitable
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from broker.commands import Answer, Command
from broker.control_api import downlink_answers as answers
from broker.control_api.documented import documented
from broker.control_api.downlink_requests import DeviceCommandRequest, DeviceMessageRequest, DevicePropertiesRequest
from broker.control_api.errors import json_response, parse
from broker.control_api.iotda import DEVICE
from broker.control_api.services import Services
from broker.errors import CommandTimeout, DeviceOffline, InvalidInput, UnknownDevice

MESSAGES, COMMANDS, PROPERTIES = f"{DEVICE}/messages", f"{DEVICE}/commands", f"{DEVICE}/properties"
ServiceId = Annotated[str, Query(min_length=1, max_length=64)]


def router(services: Services) -> APIRouter:
    api = APIRouter(tags=["IoTDA"])
    _serve_messages(api, services)
    _serve_requests(api, services)
    return api


def _serve_messages(api: APIRouter, services: Services) -> None:
    @api.post(
        MESSAGES,
        **documented(
            body=DeviceMessageRequest, answer=answers.MessageAnswer, status=201, errors=(InvalidInput, UnknownDevice)
        ),
    )
    async def create_message(device_id: str, request: Request) -> Response:
        wanted = parse(DeviceMessageRequest, await request.body())
        return json_response(
            answers.posted(await services.messages.post(device_id, wanted.message_for(device_id))), 201
        )

    @api.get(MESSAGES, **documented(answer=answers.ShownMessages, errors=(UnknownDevice,)))
    async def list_device_messages(device_id: str) -> Response:
        return json_response(answers.listed(device_id, await services.messages.kept(device_id)))

    @api.get(
        f"{MESSAGES}/{{message_id}}",
        **documented(answer=answers.ShownMessage | answers.NoMessage, errors=(UnknownDevice,)),
    )
    async def show_device_message(device_id: str, message_id: str) -> Response:
        """A message that is not there is an empty answer, as the vendor's Terraform provider has found."""
        one = (await services.messages.kept(device_id)).get(message_id)
        return json_response({} if one is None else answers.shown(one))

    @api.delete(f"{MESSAGES}/{{message_id}}", **documented(status=204, errors=(UnknownDevice,)))
    async def delete_device_message(device_id: str, message_id: str) -> Response:
        await services.messages.forget(device_id, message_id)
        return Response(status_code=204)


def _serve_requests(api: APIRouter, services: Services) -> None:
    errors = (InvalidInput, UnknownDevice, DeviceOffline)

    @api.post(COMMANDS, **documented(body=DeviceCommandRequest, answer=answers.CommandAnswer, errors=errors))
    async def create_command(device_id: str, request: Request) -> Response:
        wanted = parse(DeviceCommandRequest, await request.body())
        command = Command(wanted.command_name, wanted.paras, wanted.service_id)
        return await _answered("command_id", services.commands.send(device_id, command, services.answer_timeout_s))

    @api.get(PROPERTIES, **documented(answer=answers.PropertiesAnswer, errors=errors))
    async def list_properties(device_id: str, service_id: ServiceId) -> Response:
        asked = services.commands.get_properties(device_id, service_id, services.answer_timeout_s)
        return await _answered("request_id", asked)

    @api.put(PROPERTIES, **documented(body=DevicePropertiesRequest, answer=answers.PropertiesAnswer, errors=errors))
    async def update_properties(device_id: str, request: Request) -> Response:
        wanted = parse(DevicePropertiesRequest, await request.body())
        asked = services.commands.set_properties(device_id, wanted.services, services.answer_timeout_s)
        return await _answered("request_id", asked)


async def _answered(id_name: str, asked: Awaitable[Answer]) -> Response:
    """Wait for a device, and pass on what it says; its silence is a 200 with an error code, as the vendor has it."""
    try:
        answer = await asked
    except CommandTimeout as timeout:
        return json_response({id_name: timeout.request_id, **answers.timed_out()})
    return json_response({id_name: answer.request_id, "response": answer.response})
