"""AK/SK signatures of requests: the vendor's SDK-HMAC-SHA256, and V11-HMAC-SHA256 with a key derived for one day.

What is signed, one line each: method; path, decoded and encoded again, with a slash at its end; query, sorted; the
signed headers, `name:value`; nothing; their names; hash of the body (huaweicloudsdkcore 3.1.219, signer/signer.py).
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from urllib.parse import quote_from_bytes, unquote_to_bytes

from wire.record import record

WINDOW = timedelta(minutes=15)
PLAIN, DERIVED = b"SDK-HMAC-SHA256", b"V11-HMAC-SHA256"
UNSIGNED_PAYLOAD = b"UNSIGNED-PAYLOAD"
EMPTY_BODY = hashlib.sha256().hexdigest()
TIME_FORMAT = "%Y%m%dT%H%M%SZ"

_AUTHORIZATION = re.compile(
    rb"(?:SDK-HMAC-SHA256 Access=(?P<plain>[^,/\s]+)"
    rb"|V11-HMAC-SHA256 Credential=(?P<derived>[^,/\s]+)/(?P<scope>(?P<day>\d{8})/[^,/\s]+/[^,/\s]+))"
    rb",\s*SignedHeaders=(?P<names>[^,\sA-Z]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)
_DATE = re.compile(rb"\d{8}T\d{6}Z")

Headers = Mapping[bytes, bytes]


class Flaw(StrEnum):
    """Why a request is not taken for its signature, in the vendor's words where there are any."""

    MISSING = "Authorization not found"
    MALFORMED = (
        "Authorization: expected SDK-HMAC-SHA256 Access=…, SignedHeaders=…, Signature=… "
        "or V11-HMAC-SHA256 Credential=…/YYYYMMDD/region/service, SignedHeaders=…, Signature=…"
    )
    NO_DATE = "X-Sdk-Date: expected YYYYMMDDTHHMMSSZ"
    EXPIRED = "calc aksk signature fail:signature expired"
    OTHER_DAY = "Credential: expected the day of X-Sdk-Date"
    NO_HEADER = "SignedHeaders: expected headers that the request has"
    UNKNOWN_KEY = "Get secretKey failed,err:ak not exist"
    WRONG = "verify aksk signature fail"


@record
class AccessKey:
    """An access key id (AK) and its secret key (SK)."""

    id: str = field(repr=False)
    secret: str = field(repr=False)


@record
class Request:
    """A request as it came, but for its body: path and query still encoded, header names in lower case."""

    method: str
    path: bytes
    query: bytes
    headers: Headers = field(repr=False)


@record
class Claim:
    """What a head says of its signature; `scope` is `YYYYMMDD/region/service` of a derived key, or empty."""

    date: bytes
    scope: bytes
    names: bytes
    signature: bytes = field(repr=False)


def read_claim(headers: Headers, key_id: str, now: datetime) -> Claim | Flaw:
    """Read the claim of a head, or say why no body could make it good."""
    authorization = headers.get(b"authorization")
    if authorization is None:
        return Flaw.MISSING
    found = _AUTHORIZATION.fullmatch(authorization)
    if found is None:
        return Flaw.MALFORMED
    date = headers.get(b"x-sdk-date", b"").strip()
    if flaw := _date_flaw(date, found["day"], now):
        return flaw
    if not all(name in headers for name in found["names"].split(b";")):
        return Flaw.NO_HEADER
    if not hmac.compare_digest(found["plain"] or found["derived"], key_id.encode()):
        return Flaw.UNKNOWN_KEY
    return Claim(date, found["scope"] or b"", found["names"], found["signature"])


def is_genuine(claim: Claim, request: Request, body_hash: str, key: AccessKey) -> bool:
    """Tell whether the secret key signed this request with this body, given by the hex of its SHA-256."""
    canonical = hashlib.sha256(_canonical(claim, request, body_hash)).hexdigest().encode()
    algorithm = (DERIVED, claim.date, claim.scope) if claim.scope else (PLAIN, claim.date)
    text = b"\n".join((*algorithm, canonical))
    expected = hmac.new(_signing_key(claim.scope, key), text, "sha256").hexdigest().encode()
    return hmac.compare_digest(expected, claim.signature)


def _date_flaw(date: bytes, day: bytes | None, now: datetime) -> Flaw | None:
    if _DATE.fullmatch(date) is None:
        return Flaw.NO_DATE
    try:
        signed_at = datetime.strptime(date.decode(), TIME_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return Flaw.NO_DATE
    if abs(now - signed_at) > WINDOW:
        return Flaw.EXPIRED
    return Flaw.OTHER_DAY if day not in (None, date[:8]) else None


def _signing_key(scope: bytes, key: AccessKey) -> bytes:
    """The secret key itself, or the hex of what HKDF (RFC 5869, one block) derives from it for a scope."""
    if not scope:
        return key.secret.encode()
    extracted = hmac.digest(key.id.encode(), key.secret.encode(), "sha256")
    return hmac.digest(extracted, scope + b"\x01", "sha256").hex().encode()


def _canonical(claim: Claim, request: Request, body_hash: str) -> bytes:
    headers = request.headers
    lines = (b"%b:%b" % (name, headers[name].strip()) for name in claim.names.split(b";"))
    is_unsigned = body_hash != EMPTY_BODY and headers.get(b"x-sdk-content-sha256") == UNSIGNED_PAYLOAD
    payload = UNSIGNED_PAYLOAD if is_unsigned else body_hash.encode()
    path, query = _canonical_path(request.path), _canonical_query(request.query)
    return b"\n".join((request.method.encode(), path, query, *lines, b"", claim.names, payload))


def _canonical_path(path: bytes) -> bytes:
    encoded = quote_from_bytes(unquote_to_bytes(path), safe="/").encode()
    return encoded if encoded.endswith(b"/") else encoded + b"/"


def _canonical_query(query: bytes) -> bytes:
    pairs = sorted(tuple(map(_decoded, _halves(pair))) for pair in query.split(b"&") if pair)
    return "&".join("=".join(quote_from_bytes(half, safe="") for half in pair) for pair in pairs).encode()


def _halves(pair: bytes) -> tuple[bytes, bytes]:
    name, _, value = pair.partition(b"=")
    return name, value


def _decoded(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" "))
