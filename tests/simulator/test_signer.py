"""The runner's signatures: exactly those of the vendor's library, for any request, and for nothing else."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from simulator.signer import AccessKey, Signer

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/aksk.json").read_text())
UNSIGNED = "X-Sdk-Content-Sha256"  # the vendor's library leaves out bodies that are no JSON; the runner signs every one
SIGNED = [vector for vector in VECTORS["vectors"] if UNSIGNED not in vector["headers"]]
NOW = datetime(2026, 11, 21, 19, 30, tzinfo=UTC)
RESET = "/v5/iot/p1/devices/d1/action?action_id=resetSecret"
HOST = {"Host": "127.0.0.1:8080"}
KEY = AccessKey(VECTORS["access_key"], VECTORS["secret_key"])
DERIVED = AccessKey(VECTORS["access_key"], VECTORS["secret_key"], VECTORS["region"])
BOTH = pytest.mark.parametrize("key", [KEY, DERIVED], ids=["plain", "derived"])


def signature(key: AccessKey = KEY, target: str = RESET, body: bytes = b"{}", now: datetime = NOW, **more: str) -> str:
    signed = Signer(key).sign("POST", target, {**HOST, **more}, body, now)
    return signed["Authorization"].rpartition("Signature=")[2]


@pytest.mark.parametrize("vector", SIGNED, ids=lambda vector: f"{vector['name']}, {vector['derived']}")
def test_signature_is_the_vendors(vector: dict[str, Any]) -> None:
    own = ("X-Sdk-Date", "Authorization")
    headers = {name: value for name, value in vector["headers"].items() if name not in own}
    target = vector["path"] + (f"?{vector['query']}" if vector["query"] else "")
    signer = Signer(DERIVED if vector["derived"] else KEY)
    added = signer.sign(vector["method"], target, headers, vector["body"].encode(), NOW)
    assert added == {name: vector["headers"][name] for name in own}


def test_query_counts_in_no_order_and_in_either_encoding() -> None:
    assert signature(target="/a?b=2&a=x+y&c") == signature(target="/a?c=&a=x%20y&b=2")
    assert signature(target="/a?a=%41") == signature(target="/a?a=A") != signature(target="/a?a=a")


def test_path_counts_with_and_without_a_slash_at_its_end() -> None:
    assert signature(target="/a%2Db") == signature(target="/a-b/") == signature(target="/a-b")


@BOTH
def test_everything_that_is_said_counts(key: AccessKey) -> None:
    others = [
        signature(key, "/v5/iot/p1/devices/d2/action?action_id=resetSecret"),
        signature(key, "/v5/iot/p1/devices/d1/action"),
        signature(key, body=b"{ }"),
        signature(key, now=NOW + timedelta(seconds=1)),
        signature(key, Instance="i"),
        signature(AccessKey(key.id, "other", key.region)),
    ]
    assert len({signature(key), *others}) == 7


def test_body_that_is_no_json_is_signed_too() -> None:
    kind = {"Content-Type": "application/x-ndjson"}
    assert signature(body=b"{}\n{}", **kind) != signature(body=b"{}\n[]", **kind)


def test_derived_key_is_of_the_day() -> None:
    kept = Signer(DERIVED)
    for now in (NOW, NOW + timedelta(days=1), NOW):
        added = kept.sign("POST", RESET, HOST, b"{}", now)["Authorization"]
        assert f"/{now:%Y%m%d}/cn-north-4/iotdm," in added
        assert added.endswith(signature(DERIVED, now=now))


def test_key_never_shows() -> None:
    signer = Signer(KEY)
    shown = f"{KEY!r} {signer!r} {signer._keyed!r}"
    assert not any(secret in shown for secret in (KEY.id, KEY.secret))
