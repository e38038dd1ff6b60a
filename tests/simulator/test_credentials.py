"""What a device puts on the wire, judged by the golden vectors; and that nothing shows a secret."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from simulator.credentials import fingerprint, iotda_credentials

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "signing.json").read_text(encoding="utf-8"))["vectors"]
NOON = datetime(2026, 7, 4, 12, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["timestamp"] + "-" + vector["secret"][:8])
@pytest.mark.parametrize("sign", [0, 1])
def test_signing_agrees_with_the_golden_vectors(vector: dict[str, str], sign: int) -> None:
    utc = datetime.strptime(vector["timestamp"], "%Y%m%d%H").replace(tzinfo=UTC)
    signed = iotda_credentials("product_node", vector["secret"], utc, sign=sign)
    assert signed.password == vector["password"]
    assert signed.client_id == f"product_node_0_{sign}_{vector['timestamp']}"
    assert signed.username == "product_node"


def test_the_vectors_hold_at_least_one_that_the_vendor_published() -> None:
    assert "published by the vendor" in {vector["origin"] for vector in VECTORS}


def test_the_hour_is_not_asked_to_be_checked_unless_told() -> None:
    assert iotda_credentials("d1", "12345678", NOON).client_id == "d1_0_0_2026070412"


def test_the_password_changes_with_the_hour_and_not_within_it() -> None:
    first, same, next_hour = (
        iotda_credentials("d1", "12345678", moment).password
        for moment in (NOON.replace(minute=0), NOON, NOON.replace(hour=13, minute=0))
    )
    assert first == same != next_hour


def test_single_digits_of_a_date_are_padded() -> None:
    assert iotda_credentials("d1", "12345678", datetime(2026, 1, 2, 3, tzinfo=UTC)).client_id == "d1_0_0_2026010203"


def test_the_repr_shows_neither_secret_nor_password() -> None:
    signed = iotda_credentials("d1", "canary-0123456789", NOON)
    assert "canary" not in repr(signed)
    assert signed.password not in repr(signed)


def test_a_fingerprint_is_the_beginning_of_the_sha_256() -> None:
    assert fingerprint("12345678") == hashlib.sha256(b"12345678").hexdigest()[:8] == "ef797c81"
