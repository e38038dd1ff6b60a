"""What a ROMA device may present, at its bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.auth.credentials import parse_client_id
from broker.auth.plain_login import SPECIAL_CHARACTERS, LoginRules, is_client_id
from broker.roma import generated_password, generated_user_name

RULES = LoginRules()
STRICT = LoginRules(user_name_length=(10, 50))


@pytest.mark.parametrize("text", ["D000000001abcdef", "D999999999Z9z9Z9"])
def test_client_id_is_a_d_nine_digits_and_six_letters_or_digits(text: str) -> None:
    assert is_client_id(text)


@pytest.mark.parametrize(
    "text", ["", "d000000001abcdef", "D00000001abcdef", "D000000001abcde_", "D000000001abcdefg", "D000000001abcdef\n"]
)
def test_anything_else_is_no_client_id(text: str) -> None:
    assert not is_client_id(text)


@given(st.from_regex(r"\A[A-Za-z0-9_-]{1,20}_[02]_[012]_[0-9]{10}\Z"))
def test_no_client_id_is_of_both_kinds(text: str) -> None:
    assert parse_client_id(text) is not None
    assert not is_client_id(text)


@pytest.mark.parametrize("name", ["a", "device01", "Z-9", "-", "x" * 64])
def test_user_name_of_letters_digits_and_hyphens_is_fit(name: str) -> None:
    assert RULES.user_name_error(name) is None


@pytest.mark.parametrize("name", ["", "x" * 65, "a_b", "a b", "ä", "a\n", "٣"])
def test_other_user_name_is_not(name: str) -> None:
    assert RULES.user_name_error(name) is not None


@pytest.mark.parametrize(("length", "is_fit"), [(9, False), (10, True), (50, True), (51, False)])
def test_strict_user_name_has_the_lengths_of_the_sdk(length: int, is_fit: bool) -> None:
    assert (STRICT.user_name_error("x" * length) is None) is is_fit


@pytest.mark.parametrize("special", SPECIAL_CHARACTERS)
def test_each_special_character_makes_a_password(special: str) -> None:
    assert RULES.password_error(f"Aa1{special}" * 4) is None


@pytest.mark.parametrize(
    "password",
    [
        "Aa1~" * 3 + "Aa1",
        "Aa1~" * 8 + "A",
        "AA1~" * 4,
        "aa1~" * 4,
        "Aaa~" * 4,
        "Aa11" * 4,
        "Aa1~" * 4 + " ",
        "Aa1~" * 4 + "\n",
        "Aa1'" * 4,
        "Aa1\\" * 4,
        "Äa1~" * 4,
        "",
    ],
)
def test_password_outside_the_rules_is_named_and_not_repeated(password: str) -> None:
    problem = RULES.password_error(password)
    assert problem is not None
    assert not password or password not in problem


@pytest.mark.parametrize(("shortest", "is_fit"), [(8, True), (16, False)])
def test_shortest_password_is_a_setting(shortest: int, is_fit: bool) -> None:
    assert (LoginRules(shortest_password=shortest).password_error("Aa1~Aa1~") is None) is is_fit


def test_what_is_generated_keeps_the_strictest_rules() -> None:
    for _ in range(200):
        assert STRICT.password_error(generated_password()) is None
        assert STRICT.user_name_error(generated_user_name()) is None
    assert len({generated_password() for _ in range(200)}) == 200
