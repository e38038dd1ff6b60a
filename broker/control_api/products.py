"""Our own administration of products: which protocol their devices speak."""

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from broker.auth.registry import DeviceProtocol, Product
from broker.control_api.documented import documented
from broker.control_api.errors import describe, json_response, parse
from broker.control_api.services import Services
from broker.control_api.terms import ProductId, ProductIdText
from broker.errors import InvalidInput, ProductHasDevices, StoreError

PRODUCT_ID = TypeAdapter(ProductId)


class ProductRequest(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    protocol: DeviceProtocol


class ProductAnswer(BaseModel):
    product_id: ProductId
    protocol: DeviceProtocol


class ProductList(BaseModel):
    count: int
    products: list[ProductAnswer]


def router(services: Services) -> APIRouter:
    api = APIRouter(prefix="/_platform/products", tags=["platform"])
    refusals = (InvalidInput, ProductHasDevices, StoreError)

    @api.get("", **documented(answer=ProductList))
    async def list_products() -> Response:
        shown = [_shown(one) for one in services.registry.products]
        return json_response({"count": len(shown), "products": shown})

    @api.put("/{product_id}", **documented(body=ProductRequest, answer=ProductAnswer, errors=refusals))
    async def put_product(product_id: ProductIdText, request: Request) -> Response:
        product = Product(_checked(product_id), parse(ProductRequest, await request.body()).protocol)
        await services.rotation.put_product(product)
        return json_response(_shown(product))

    return api


def _checked(product_id: str) -> str:
    try:
        return PRODUCT_ID.validate_python(product_id)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        raise InvalidInput(f"product_id: {describe(found)}") from None


def _shown(product: Product) -> dict[str, object]:
    return {"product_id": product.product_id, "protocol": product.protocol}
