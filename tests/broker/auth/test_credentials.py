"""Client ids, passwords, and what a secret may be."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.auth.credentials import ClientId, Sign, parse_client_id, password, psk_error, secret_error

VECTORS = json.loads((Path(__file__).parents[2] / "vectors/signing.json").read_text())["vectors"]
IDS = st.from_regex(r"[A-Za-z0-9_-]{1,128}", fullmatch=True)
HOURS = st.from_regex(r"[0-9]{10}", fullmatch=True).filter(str.isascii)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["secret"])
def test_password_agrees_with_the_golden_vectors(vector: dict[str, str]) -> None:
    assert password(vector["secret"], vector["timestamp"]) == vector["password"]


@given(IDS, st.sampled_from(["0", "2"]), st.sampled_from(Sign), HOURS)
def test_client_id_is_parsed_from_the_right(name: str, kind: str, sign: Sign, hour: str) -> None:
    parsed = parse_client_id(f"{name}_{kind}_{sign.value}_{hour}")
    assert parsed == ClientId(name, kind == "2", sign, hour)


def test_device_id_may_itself_look_like_a_client_id() -> None:
    assert parse_client_id("a_0_1_2025010100_0_0_2026010100") == ClientId(
        "a_0_1_2025010100", is_node_id=False, sign=Sign.HMAC_SHA256, hour="2026010100"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "d1",
        "_0_0_2025010100",
        "d1_1_0_2025010100",
        "d1_0_3_2025010100",
        "d1_0_0_20250101",
        "d1_0_0_202501010000",
        "d1_0_0_2025010100\n",
        "d é_0_0_2025010100",
        "d1_0_0_" + "\uff11" * 10,
        "x" * 129 + "_0_0_2025010100",
    ],
)
def test_other_client_ids_are_none(text: str) -> None:
    assert parse_client_id(text) is None


@given(st.text())
def test_any_text_parses_or_is_none(text: str) -> None:
    parse_client_id(text)


@pytest.mark.parametrize("secret", ["12345678", "A-z_0" * 6, "x" * 32])
def test_fit_secret_passes(secret: str) -> None:
    assert secret_error(secret) is None


@pytest.mark.parametrize(
    "secret",
    ["", "1234567", "x" * 33, "12345678\n", "sécrets1", "\uff11" * 8, "with space", "semi;colon"],
)
def test_unfit_secret_is_refused_without_being_repeated(secret: str) -> None:
    problem = secret_error(secret)
    assert problem
    assert not secret or secret not in problem


@pytest.mark.parametrize("secret", ["0123456789abcdef", "ABCDEF0123"])
def test_even_hexadecimal_secret_can_be_a_psk(secret: str) -> None:
    assert psk_error(secret) is None


@pytest.mark.parametrize("secret", ["0123456789abcde", "0123456789abcdeg", "abc", "0123456789ab\n"])
def test_other_secrets_cannot_be_a_psk(secret: str) -> None:
    assert psk_error(secret)
