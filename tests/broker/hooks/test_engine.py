"""Where a management API is; its password shows nowhere."""

import pytest

from broker.errors import SettingsError
from broker.hooks.engine import Address, parse_address


@pytest.mark.parametrize(
    ("url", "password", "expected"),
    [
        ("http://op@127.0.0.1:15672", "secret", Address("http://127.0.0.1:15672", "op", "secret")),
        ("http://op:s%3A%2F@[::1]:15672/rabbit/", None, Address("http://[::1]:15672/rabbit", "op", "s:/")),
        ("https://k%40y:in-url@broker.example", "other", Address("https://broker.example", "k@y", "in-url")),
    ],
)
def test_address_is_read(url: str, password: str | None, expected: Address) -> None:
    assert parse_address(url, password) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "op:canary@localhost",
        "ftp://op:canary@localhost",
        "http://localhost:1",
        "http://op:canary@",
        "http://op:canary@localhost:x",
        "http://o%3Ap:canary@localhost",
        "http://op:canary@[::1",
        "http://op:canary@localhost/?a=b",
    ],
)
def test_what_is_no_address_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^engine_api: expected") as refused:
        parse_address(url, "canary")
    assert "canary" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_password_is_demanded() -> None:
    with pytest.raises(SettingsError, match="expected a password"):
        parse_address("http://op@localhost", None)


def test_password_never_shows() -> None:
    assert "canary" not in repr(parse_address("http://op:canary@localhost", None))
