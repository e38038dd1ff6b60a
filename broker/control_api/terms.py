"""The values that requests are made of, each as the vendor bounds it."""

from typing import Annotated

from pydantic import AfterValidator, Field

from broker.auth.credentials import secret_error

Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,128}$")]
ProductId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,36}$")]
NodeId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
RecordId = Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{24}$")]
DeviceName = Annotated[str, Field(pattern=r"^[\u4e00-\u9fffA-Za-z0-9 _?'#().,&%@!-]{1,256}$")]
Description = Annotated[str, Field(pattern=r"^[\u4e00-\u9fffA-Za-z0-9 _?'#().,&%@!-]{0,2048}$")]
Timeout = Annotated[int, Field(ge=0, le=2**31 - 1, description="seconds")]


def _fit(secret: str) -> str:
    if problem := secret_error(secret):
        raise ValueError(problem)
    return secret


SecretText = Annotated[str, AfterValidator(_fit)]
