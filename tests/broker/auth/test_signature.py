"""AK/SK signatures: what the vendor's library signs is taken, and nothing that was changed since."""

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from broker.auth.signature import AccessKey, Flaw, Request, is_genuine, read_claim

VECTORS = json.loads((Path(__file__).parents[2] / "vectors/aksk.json").read_text())
KEY = AccessKey(VECTORS["access_key"], VECTORS["secret_key"])
NOW = datetime(2026, 11, 21, 19, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Sent:
    """A request of the vendor's library, as it goes over the wire."""

    request: Request
    body: bytes

    def change(self, **fields: Any) -> "Sent":
        return replace(self, request=replace(self.request, **fields))

    def set(self, name: bytes, value: bytes) -> "Sent":
        return self.change(headers={**self.request.headers, name: value})

    def drop(self, name: bytes) -> "Sent":
        return self.change(headers={key: value for key, value in self.request.headers.items() if key != name})


def sent(vector: dict[str, Any]) -> Sent:
    headers = {name.lower().encode(): value.encode() for name, value in vector["headers"].items()}
    head = Request(vector["method"], vector["path"].encode(), vector["query"].encode(), headers)
    return Sent(head, vector["body"].encode())


REQUESTS = {f"{one['name']}, {'derived' if one['derived'] else 'plain'}": sent(one) for one in VECTORS["vectors"]}
PLAIN, DERIVED = REQUESTS["reset, plain"], REQUESTS["reset, derived"]
UNSIGNED_PAYLOAD = REQUESTS["unsigned payload, plain"]
ANY = st.sampled_from(list(REQUESTS.values()))
BOTH = pytest.mark.parametrize("good", [PLAIN, DERIVED], ids=["plain", "derived"])


def judge(one: Sent, key: AccessKey = KEY, now: datetime = NOW) -> Flaw | None:
    claim = read_claim(one.request.headers, key.id, now)
    if isinstance(claim, Flaw):
        return claim
    return None if is_genuine(claim, one.request, hashlib.sha256(one.body).hexdigest(), key) else Flaw.WRONG


@st.composite
def spoilt(draw: st.DrawFn, text: bytes) -> bytes:
    """Draw a text with one byte changed, put in or taken out."""
    at = draw(st.integers(0, len(text)))
    byte = bytes([draw(st.integers(0, 255))])
    taken = draw(st.integers(0, 1))
    other = text[:at] + draw(st.sampled_from([byte, b""])) + text[at + taken :]
    assume(other != text)
    return other


@pytest.mark.parametrize("name", REQUESTS)
def test_what_the_vendors_library_signed_is_genuine(name: str) -> None:
    assert judge(REQUESTS[name]) is None


@BOTH
def test_other_key_is_wrong_and_other_key_id_unknown(good: Sent) -> None:
    assert judge(good, AccessKey(KEY.id, KEY.secret + "x")) is Flaw.WRONG
    assert judge(good, AccessKey(KEY.id + "x", KEY.secret)) is Flaw.UNKNOWN_KEY


@BOTH
@pytest.mark.parametrize("sign", [-1, 1], ids=["late", "early"])
def test_signature_holds_for_fifteen_minutes_either_way(good: Sent, sign: int) -> None:
    assert judge(good, now=NOW + 15 * sign * MINUTE) is None
    assert judge(good, now=NOW + 15 * sign * MINUTE + timedelta(seconds=sign)) is Flaw.EXPIRED


@given(ANY, st.data())
def test_any_other_method_is_wrong(good: Sent, data: st.DataObject) -> None:
    method = data.draw(spoilt(good.request.method.encode())).decode("latin-1")
    assert judge(good.change(method=method)) is Flaw.WRONG


@given(ANY, st.data())
def test_any_byte_of_the_path_counts(good: Sent, data: st.DataObject) -> None:
    path = unquote_to_bytes(good.request.path)
    other = data.draw(spoilt(path))
    assume({other, other + b"/"}.isdisjoint({path, path + b"/"}))
    assert judge(good.change(path=quote_from_bytes(other).encode())) is Flaw.WRONG


@given(ANY, st.data())
def test_any_byte_of_the_body_counts(good: Sent, data: st.DataObject) -> None:
    assume(b"x-sdk-content-sha256" not in good.request.headers)
    assert judge(replace(good, body=data.draw(spoilt(good.body)))) is Flaw.WRONG


@given(st.sampled_from([PLAIN, DERIVED]), st.data())
def test_any_byte_of_the_query_counts(good: Sent, data: st.DataObject) -> None:
    value = quote_from_bytes(data.draw(spoilt(b"resetSecret")), safe="").encode()
    name = quote_from_bytes(data.draw(spoilt(b"action_id")), safe="").encode()
    for query in (b"action_id=" + value, name + b"=resetSecret", b"", good.request.query + b"&" + name):
        assert judge(good.change(query=query)) is Flaw.WRONG


@given(ANY, st.data())
def test_any_byte_of_a_signed_header_counts(good: Sent, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(good.request.headers.keys() - {b"authorization"})))
    value = data.draw(spoilt(good.request.headers[name]))
    assume(value.strip() != good.request.headers[name].strip())
    assert judge(good.set(name, value)) is not None
    assert judge(good.drop(name)) is not None


@given(ANY, st.data())
def test_any_byte_of_the_authorization_counts(good: Sent, data: st.DataObject) -> None:
    given_one = good.request.headers[b"authorization"]
    other = data.draw(spoilt(given_one))
    assume(b"".join(other.split()) != b"".join(given_one.split()))
    assert judge(good.set(b"authorization", other)) is not None


@given(st.dictionaries(st.sampled_from([b"authorization", b"x-sdk-date", b"host"]), st.binary()))
def test_any_head_at_all_has_a_flaw(headers: dict[bytes, bytes]) -> None:
    assert isinstance(read_claim(headers, KEY.id, NOW), Flaw)


@BOTH
def test_signature_of_one_algorithm_is_none_of_the_other(good: Sent) -> None:
    other = DERIVED if good is PLAIN else PLAIN
    theirs, ours = (one.request.headers[b"authorization"] for one in (other, good))
    signature = ours.rpartition(b"Signature=")[2]
    mixed = theirs.rpartition(b"Signature=")[0] + b"Signature=" + signature
    assert judge(good.set(b"authorization", mixed)) is Flaw.WRONG


def test_headers_that_are_not_signed_do_not_count() -> None:
    assert judge(PLAIN.set(b"x-forwarded-for", b"10.0.0.1")) is None


def test_slash_at_the_end_and_the_order_of_the_query_do_not_count() -> None:
    sorted_query = REQUESTS["query to sort and to encode, plain"]
    shuffled = b"&".join(reversed(sorted_query.request.query.split(b"&")))
    assert judge(sorted_query.change(query=shuffled)) is None
    assert judge(PLAIN.change(path=PLAIN.request.path + b"/")) is None


def test_payload_that_says_so_under_its_signature_is_not_signed() -> None:
    assert judge(replace(UNSIGNED_PAYLOAD, body=b"another")) is None
    assert judge(PLAIN.set(b"x-sdk-content-sha256", b"UNSIGNED-PAYLOAD")) is Flaw.WRONG
    assert judge(UNSIGNED_PAYLOAD.drop(b"x-sdk-content-sha256")) is Flaw.NO_HEADER


@pytest.mark.parametrize(
    ("name", "value", "flaw"),
    [
        (b"authorization", b"", Flaw.MALFORMED),
        (b"authorization", b"Basic YTpi", Flaw.MALFORMED),
        (b"authorization", b"SDK-HMAC-SHA256 Access=a, SignedHeaders=host, Signature=12", Flaw.MALFORMED),
        (b"x-sdk-date", b"", Flaw.NO_DATE),
        (b"x-sdk-date", b"Sat, 21 Nov 2026 19:30:00 GMT", Flaw.NO_DATE),
        (b"x-sdk-date", b"20261332T193000Z", Flaw.NO_DATE),
        (b"x-sdk-date", b"20251121T193000Z", Flaw.EXPIRED),
    ],
)
def test_flaw_of_a_head_is_named(name: bytes, value: bytes, flaw: Flaw) -> None:
    assert judge(PLAIN.set(name, value)) is flaw


def test_missing_parts_of_a_head_are_named() -> None:
    assert judge(PLAIN.drop(b"authorization")) is Flaw.MISSING
    assert judge(PLAIN.drop(b"x-sdk-date")) is Flaw.NO_DATE
    assert judge(PLAIN.drop(b"instance-id")) is Flaw.NO_HEADER


def test_derived_key_is_of_the_day_of_the_request() -> None:
    of_yesterday = DERIVED.request.headers[b"authorization"].replace(b"/20261121/", b"/20261120/")
    assert judge(DERIVED.set(b"authorization", of_yesterday)) is Flaw.OTHER_DAY


def test_key_and_signature_never_show() -> None:
    claim = read_claim(PLAIN.request.headers, KEY.id, NOW)
    assert not isinstance(claim, Flaw)
    shown = f"{KEY!r} {claim!r} {PLAIN.request!r}"
    signature = PLAIN.request.headers[b"authorization"].rpartition(b"=")[2].decode()
    assert not any(secret in shown for secret in (KEY.id, KEY.secret, signature))
