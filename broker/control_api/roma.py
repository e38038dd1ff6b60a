"""The vendor's ROMA LINK v2 API: products, devices, and their authentications."""

import re

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from broker.control_api.documented import documented
from broker.control_api.errors import InvalidBody, InvalidPath, json_response, parse
from broker.control_api.guard import require_trust
from broker.control_api.roma_answers import RomaAnswers, authentication, forced_offline, product_answer
from broker.control_api.roma_models import (
    AuthenticationAnswer,
    CreateDevice,
    CreateProduct,
    DeviceAnswer,
    DevicePage,
    ForceOffline,
    ForceOfflineAnswer,
    ProductAnswer,
    ProductReference,
    ResetAuthentication,
    UpdateDevice,
)
from broker.control_api.roma_query import RomaDeviceQuery, parse_query
from broker.control_api.services import Services
from broker.control_api.terms import OidText
from broker.errors import InvalidInput, ResourceInUse, StoreError, UnknownResource

LINK = "/v2/{project_id}/link/instances/{instance_id}"
DEVICES, PRODUCTS = f"{LINK}/devices", f"{LINK}/products"
DEVICE, PRODUCT = f"{DEVICES}/{{device_id}}", f"{PRODUCTS}/{{product_id}}"
OID = re.compile(r"[0-9]{1,17}")

SHOWN, CHANGED = (UnknownResource,), (InvalidInput, UnknownResource, StoreError)


def router(services: Services) -> APIRouter:
    api = APIRouter(tags=["ROMA LINK"])
    _serve_authentications(api, services)
    _serve_devices(api, services)
    _serve_device(api, services)
    _serve_products(api, services)
    return api


def _serve_authentications(api: APIRouter, services: Services) -> None:
    roma, known = services.roma, services.callers.are_known

    @api.put(
        f"{DEVICE}/authentication", **documented(body=ResetAuthentication, answer=AuthenticationAnswer, errors=CHANGED)
    )
    async def reset_authentication(device_id: OidText, request: Request) -> Response:
        oid, wanted = _oid(device_id), parse(ResetAuthentication, await request.body())
        login = wanted.user_name or "", wanted.password or ""
        device = await roma.reset_device(oid, *login, request.state.request_id)
        return _answer(authentication(device.authentication))

    @api.get(f"{DEVICE}/authentication", **documented(answer=AuthenticationAnswer, errors=SHOWN))
    async def show_authentication(device_id: OidText, request: Request) -> Response:
        require_trust(request.headers, callers_are_known=known)
        return _answer(authentication(roma.device(_oid(device_id)).authentication))

    @api.put(
        f"{PRODUCT}/authentication", **documented(body=ResetAuthentication, answer=AuthenticationAnswer, errors=CHANGED)
    )
    async def reset_product_authentication(product_id: OidText, request: Request) -> Response:
        oid, wanted = _oid(product_id), parse(ResetAuthentication, await request.body())
        login = wanted.user_name or "", wanted.password or ""
        product = await roma.reset_product(oid, *login, request.state.request_id)
        return _answer(authentication(product.authentication))

    @api.get(f"{PRODUCT}/authentication", **documented(answer=AuthenticationAnswer, errors=SHOWN))
    async def show_product_authentication(product_id: OidText, request: Request) -> Response:
        require_trust(request.headers, callers_are_known=known)
        return _answer(authentication(roma.product(_oid(product_id)).authentication))


def _serve_devices(api: APIRouter, services: Services) -> None:
    roma, answers = services.roma, _answers(services)

    @api.post(DEVICES, **documented(body=CreateDevice, answer=DeviceAnswer, status=201, errors=CHANGED))
    async def create_device(instance_id: str, request: Request) -> Response:
        wanted = parse(CreateDevice, await request.body())
        device = await roma.create_device(wanted.device(_product_id(services, wanted.product)))
        return _answer(answers.device(device, instance_id), 201)

    @api.get(DEVICES, **documented(query=RomaDeviceQuery, answer=DevicePage))
    async def list_devices(instance_id: str, request: Request) -> Response:
        require_trust(request.headers, callers_are_known=services.callers.are_known)
        found, total = parse_query(request.query_params).select(
            services.registry.roma.newest_first(), answers.online_status
        )
        items = [answers.device(one, instance_id) for one in found]
        return _answer(DevicePage(total=total, size=len(items), items=items))

    @api.post(
        f"{DEVICES}/force-offline", **documented(body=ForceOffline, answer=ForceOfflineAnswer, errors=(InvalidInput,))
    )
    async def batch_freeze_devices(request: Request) -> Response:
        wanted = parse(ForceOffline, await request.body())
        return _answer(forced_offline(*await roma.force_offline(wanted.device_ids, request.state.request_id)))


def _serve_device(api: APIRouter, services: Services) -> None:
    roma, answers = services.roma, _answers(services)

    @api.get(DEVICE, **documented(answer=DeviceAnswer, errors=SHOWN))
    async def show_device(instance_id: str, device_id: OidText, request: Request) -> Response:
        require_trust(request.headers, callers_are_known=services.callers.are_known)
        return _answer(answers.device(roma.device(_oid(device_id)), instance_id))

    @api.put(DEVICE, **documented(body=UpdateDevice, answer=DeviceAnswer, errors=CHANGED))
    async def update_device(instance_id: str, device_id: OidText, request: Request) -> Response:
        oid, wanted = _oid(device_id), parse(UpdateDevice, await request.body())
        return _answer(answers.device(await roma.update_device(oid, wanted.changes()), instance_id))

    @api.delete(DEVICE, **documented(status=204, errors=(UnknownResource, StoreError)))
    async def delete_device(device_id: OidText) -> None:
        await roma.delete_device(_oid(device_id))


def _serve_products(api: APIRouter, services: Services) -> None:
    roma = services.roma

    @api.post(PRODUCTS, **documented(body=CreateProduct, answer=ProductAnswer, status=201, errors=CHANGED))
    async def create_product(request: Request) -> Response:
        wanted = parse(CreateProduct, await request.body())
        return _answer(product_answer(await roma.create_product(wanted.facts())), 201)

    @api.get(PRODUCT, **documented(answer=ProductAnswer, errors=SHOWN))
    async def show_product(product_id: OidText, request: Request) -> Response:
        require_trust(request.headers, callers_are_known=services.callers.are_known)
        return _answer(product_answer(roma.product(_oid(product_id))))

    @api.delete(PRODUCT, **documented(status=204, errors=(UnknownResource, ResourceInUse, StoreError)))
    async def delete_product(product_id: OidText) -> None:
        await roma.delete_product(_oid(product_id))


def _answers(services: Services) -> RomaAnswers:
    address = f"{services.host}:{services.mqtt_port}"
    return RomaAnswers(services.registry.roma, services.sessions, address)


def _product_id(services: Services, named: ProductReference) -> int:
    """Return the id of the product that a new device names; raises InvalidBody, UnknownResource."""
    if named.product_id is not None:
        return named.product_id
    if named.manufacturer_id is None or named.model is None:
        raise InvalidBody("product: expected product_id, or manufacturer_id and model")
    product = services.registry.roma.product_of_model(named.manufacturer_id, named.model)
    if product is None:
        raise UnknownResource(named.model)
    return product.id


def _oid(text: str) -> int:
    """Read an id in a path; raises InvalidPath."""
    if OID.fullmatch(text) is None:
        raise InvalidPath
    return int(text)


def _answer(answer: BaseModel, status: int = 200) -> Response:
    """What is not known is left out."""
    return json_response(answer.model_dump(exclude_none=True), status)
