"""The values that requests are made of, each as the vendor bounds it."""

from math import floor, isfinite
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic.json_schema import SkipJsonSchema

from broker.auth.credentials import secret_error

Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,128}$")]
ProductId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,36}$")]
ProductIdText = Annotated[str, WithJsonSchema({"type": "string", "pattern": "^[A-Za-z0-9_-]{1,36}$"})]
"""The same in a path, where it is judged later."""
NodeId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
RecordId = Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{24}$")]
DeviceName = Annotated[str, Field(pattern=r"^[\u4e00-\u9fffA-Za-z0-9 _?'#().,&%@!-]{1,256}$")]
Description = Annotated[str, Field(pattern=r"^[\u4e00-\u9fffA-Za-z0-9 _?'#().,&%@!-]{0,2048}$")]
MessageId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,100}$")]
MessageName = Annotated[str, Field(pattern=r"^[\u4e00-\u9fffA-Za-z0-9 _?'#().,&%@!-]{0,128}$")]
ServiceId = Annotated[str, Field(max_length=64)]
PropertyKey = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,128}$")]
PropertyText = Annotated[str, Field(pattern=r"^[\u4e00-\u9fffA-Za-z0-9 _?'#().,&%@!-]{0,128}$")]


def _whole(number: object) -> object:
    """JSON has one kind of number: 5.0 is a whole one."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


WHOLE = BeforeValidator(_whole)
Timeout = Annotated[int, Field(ge=0, le=2**31 - 1, description="seconds"), WHOLE]


def _fit(secret: str) -> str:
    if problem := secret_error(secret):
        raise ValueError(problem)
    return secret


SECRET = WithJsonSchema({"type": "string", "pattern": "^[A-Za-z0-9_-]{8,32}$"})
SecretText = Annotated[str, AfterValidator(_fit), SECRET]
CheckedLater = Annotated[str, SECRET]
"""A secret that is judged together with its device: that of an NB-IoT device is hexadecimal."""

T = TypeVar("T")
IfKnown = Annotated[T | SkipJsonSchema[None], Field(default=None)]
"""A field of an answer that is left out rather than null."""


def _rounded_down(number: object) -> object:
    return floor(number) if isinstance(number, float) and isfinite(number) else number


ANY_OID = {"type": "number", "minimum": 0, "maximum": 99_999_999_999_999_999}
OID = WithJsonSchema(ANY_OID)
Oid = Annotated[int, BeforeValidator(_rounded_down), Field(ge=0, le=99_999_999_999_999_999), OID]
"""An id of ROMA LINK; in a body it is rounded down (huaweicloudsdkroma, model/batch_freeze_devices_request_body.py)."""

OidText = Annotated[str, WithJsonSchema({**ANY_OID, "type": "integer"})]
"""The same in a path."""

USER_NAME = WithJsonSchema({"type": "string", "pattern": "^[A-Za-z0-9-]{0,64}$"})
PASSWORD = WithJsonSchema({"type": "string", "format": "roma-password", "maxLength": 32})
UserName = Annotated[str, USER_NAME]
Password = Annotated[str, PASSWORD]
"""The platform's settings bound their lengths (broker/auth/plain_login.py)."""

RomaDeviceName = Annotated[
    str, Field(pattern=r"^[\u4e00-\u9fffA-Za-z0-9 （）。；，：“”、？《》()_,#.?'@%&!-]{2,64}$")  # noqa: RUF001 - the vendor's set
]
RomaNodeId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{2,64}$")]
ProductName = Annotated[str, Field(pattern=r"^[\u4e00-\u9fffA-Za-z0-9_-]{1,64}$")]
ShortText = Annotated[str, Field(max_length=64)]
Remark = Annotated[str, Field(max_length=200)]
