"""ROMA LINK's errors: nearly all say which parameter of which operation was not valid, and in what part of a request.

The vendor's pages (api-roma) have the codes, `deviceOid`, `product_id`, `request`, `resetAuthentication` and
`searchProductDetails`; they name no other operation that is served here, so the others have the SDK's names.
"""

from http import HTTPStatus

from broker.control_api.errors import (
    INVALID_PARAMETER,
    VENDOR,
    BadSignature,
    BodyTooLarge,
    Forbidden,
    InvalidPath,
    InvalidQuery,
    NoSuchInstance,
    TokenMissing,
    Unauthorised,
    Unserved,
    WrongContentType,
)
from broker.errors import BrokerError, ResourceInUse, StoreError, UnknownResource

LONGEST_MESSAGE = 200
"""The vendor's limit of `error_msg`."""

DEVICE_ID, PRODUCT_ID = "deviceOid", "product_id"
BODY = "request"

OPERATIONS = {
    ("POST", "devices"): "link-device.createDevice",
    ("GET", "devices"): "link-device.listDevices",
    ("POST", "devices/force-offline"): "link-device.batchFreezeDevices",
    ("GET", "devices/*"): "link-device.showDevice",
    ("PUT", "devices/*"): "link-device.updateDevice",
    ("DELETE", "devices/*"): "link-device.deleteDevice",
    ("GET", "devices/*/authentication"): "link-device.showAuthentication",
    ("PUT", "devices/*/authentication"): "link-device.resetAuthentication",
    ("POST", "products"): "link-product.createProduct",
    ("GET", "products/*"): "link-product.searchProductDetails",
    ("DELETE", "products/*"): "link-product.deleteProduct",
    ("GET", "products/*/authentication"): "link-product.showAuthentication",
    ("PUT", "products/*/authentication"): "link-product.resetAuthentication",
}
"""By method and path below the instance, `*` for an id."""


def vendors(error: BrokerError, method: str, path: str) -> tuple[int, str, str]:
    """Return status, code and message of an error as ROMA LINK has them."""
    status, code, text = _vendors(error, method, path)
    return status, code, text[:LONGEST_MESSAGE]


def _vendors(error: BrokerError, method: str, path: str) -> tuple[int, str, str]:
    match error:
        case Unserved():
            return _plain(error.status)
        case Unauthorised() if not isinstance(error, TokenMissing):
            status, code, text = VENDOR[BadSignature]
            return status, code, f"{text} decrypt token fail"
        case Forbidden():
            status, code, text = _plain(403)
            return status, code, f"{text}. {error}"
        case UnknownResource() | NoSuchInstance() | BadSignature():
            status, code, text = VENDOR[type(error)]
            return status, code, f"{text} {error}"
        case StoreError():
            return _plain(500)
    operation = _operation(method, path)
    return _plain(404) if operation is None else _invalid(error, operation)


def _plain(status: int) -> tuple[int, str, str]:
    return status, INVALID_PARAMETER, HTTPStatus(status).phrase


def _invalid(error: BrokerError, operation: str) -> tuple[int, str, str]:
    status, parameter, processor, detail = 400, BODY, "body", str(error)
    match error:
        case TokenMissing():
            parameter, processor = "X-Auth-Token", "header"
        case WrongContentType():
            status, parameter, processor = 415, "Content-Type", "header"
        case BodyTooLarge():
            status = 413
        case InvalidPath() | ResourceInUse():
            parameter, processor = DEVICE_ID if "device" in operation else PRODUCT_ID, "path"
        case InvalidQuery():
            parameter, processor = error.parameter, "query"
    text = f"Parameter is not valid for operation [romalink.{operation}]. Parameter is [{parameter}]. "
    return status, INVALID_PARAMETER, f"{text}Processor is [{processor}]. {detail}".rstrip()


def _operation(method: str, path: str) -> str | None:
    match path.split("/"):
        case ["", "v2", _, "link", "instances", _, resource]:
            return OPERATIONS.get((method, resource))
        case ["", "v2", _, "link", "instances", _, resource, name, *rest]:
            one = name if name == "force-offline" else "*"
            return OPERATIONS.get((method, "/".join((resource, one, *rest))))
    return None
