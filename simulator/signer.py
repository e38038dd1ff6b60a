"""AK/SK signatures of the calls that the runner makes, as the vendor's SDK signs them.

The platform has an independent judge of these on purpose: a bug shared by both sides would cancel itself out. Golden
vectors and the vendor's own signer judge both (huaweicloudsdkcore 3.1.219, signer/signer.py and signer/hkdf.py).
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import parse_qsl, quote, unquote, urlencode

SERVICE = "iotdm"
"""The name under which IoTDA checks derived keys."""

DATE = "X-Sdk-Date"

_PLAIN_PATH = re.compile(r"[A-Za-z0-9/_.~-]*")
_PLAIN_QUERY = re.compile(r"([A-Za-z0-9_.~-]+=[A-Za-z0-9_.~-]*)?")


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key id (AK) and its secret key (SK).

    `region`: sign with V11-HMAC-SHA256 and a key derived for this region and the day, which the cloud's standard and
    enterprise instances ask for; without it with SDK-HMAC-SHA256 and the secret key itself.
    """

    id: str = field(repr=False)
    secret: str = field(repr=False)
    region: str = ""


class Signer:
    """Signs requests with one key."""

    def __init__(self, key: AccessKey) -> None:
        self._key = key
        self._scope = ""
        self._keyed = _keyed(key.secret)

    def sign(self, method: str, target: str, headers: Mapping[str, str], body: bytes, utc: datetime) -> dict[str, str]:
        """Give the headers that make a request a signed one: its date, and what proves all of `headers` and the body.

        `target` is what the request line says: the encoded path, with the query if there is one.
        """
        date = utc.strftime("%Y%m%dT%H%M%SZ")
        signed = sorted([(name.lower(), value.strip()) for name, value in (*headers.items(), (DATE, date))])
        names = ";".join([name for name, _ in signed])
        path, _, query = target.partition("?")
        lines = [f"{name}:{value}" for name, value in signed]
        payload = hashlib.sha256(body).hexdigest()
        request = "\n".join((method, _canonical_path(path), _canonical_query(query), *lines, "", names, payload))
        claim, signature = self._signature(date, hashlib.sha256(request.encode()).hexdigest())
        return {DATE: date, "Authorization": f"{claim}, SignedHeaders={names}, Signature={signature}"}

    def _signature(self, date: str, request_hash: str) -> tuple[str, str]:
        """Who claims to have signed, and the proof."""
        key = self._key
        if not key.region:
            return f"SDK-HMAC-SHA256 Access={key.id}", self._proof(f"SDK-HMAC-SHA256\n{date}\n{request_hash}")
        scope = f"{date[:8]}/{key.region}/{SERVICE}"
        if scope != self._scope:
            self._scope, self._keyed = scope, _keyed(_derived(key, scope))
        text = f"V11-HMAC-SHA256\n{date}\n{scope}\n{request_hash}"
        return f"V11-HMAC-SHA256 Credential={key.id}/{scope}", self._proof(text)

    def _proof(self, text: str) -> str:
        mac = self._keyed.copy()
        mac.update(text.encode())
        return mac.hexdigest()


def _keyed(key: str) -> hmac.HMAC:
    """A key that is ready to be used: to set it up takes three times as long as to copy it."""
    return hmac.new(key.encode(), digestmod="sha256")


def _derived(key: AccessKey, scope: str) -> str:
    """HKDF of RFC 5869 with SHA-256, and its first block in hex: the access key id is the salt."""
    pseudorandom = hmac.digest(key.id.encode(), key.secret.encode(), "sha256")
    return hmac.digest(pseudorandom, scope.encode() + b"\x01", "sha256").hex()


def _canonical_path(path: str) -> str:
    """Decoded and encoded in one way, and with a slash at its end."""
    encoded = path if _PLAIN_PATH.fullmatch(path) else quote(unquote(path))
    return encoded.removesuffix("/") + "/"


def _canonical_query(query: str) -> str:
    """Sorted, and decoded and encoded in one way; which takes longer than to see that a query is that already."""
    if _PLAIN_QUERY.fullmatch(query):
        return query
    return urlencode(sorted(parse_qsl(query, keep_blank_values=True)), quote_via=quote, safe="")
