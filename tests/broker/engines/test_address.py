"""How an engine is named, and what is said of a name that is none."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.engines.address import BUILTIN, EngineAddress, Kind
from broker.errors import SettingsError


@pytest.mark.parametrize(
    ("text", "expected", "shown"),
    [
        ("builtin", BUILTIN, "builtin"),
        ("amqtt", EngineAddress(Kind.AMQTT), "amqtt"),
        ("mqtt://localhost", EngineAddress(Kind.TCP, "localhost", 1883), "mqtt://localhost:1883"),
        ("mqtt://[::1]:99/", EngineAddress(Kind.TCP, "::1", 99), "mqtt://[::1]:99"),
        ("mqtts://b.example", EngineAddress(Kind.TLS, "b.example", 8883), "mqtts://b.example:8883"),
        ("unix:/run/b.sock", EngineAddress(Kind.UNIX, path="/run/b.sock"), "unix:/run/b.sock"),
        ("unix:///run/b.sock", EngineAddress(Kind.UNIX, path="/run/b.sock"), "unix:/run/b.sock"),
        (
            "mqtt://gate:p%40ss@h",
            EngineAddress(Kind.TCP, "h", 1883, username="gate", password="p@ss"),
            "mqtt://h:1883",
        ),
    ],
)
def test_address_is_read_and_shown_without_its_password(text: str, expected: EngineAddress, shown: str) -> None:
    address = EngineAddress.parse(text)
    assert address == expected
    assert str(address) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mosquitto",
        "http://h",
        "mqtt://",
        "mqtt://h:99999",
        "mqtt://h:x",
        "mqtt://h/path",
        "mqtt://h?x=1",
        "mqtt://h#x",
        "unix:",
        "unix://host/path",
        "unix:/p?x",
        "mqtt://[::1",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="expected builtin, amqtt, mqtt://"):
        EngineAddress.parse(text)


def test_refused_address_keeps_its_password_to_itself() -> None:
    with pytest.raises(SettingsError) as refused:
        EngineAddress.parse("mqtt://gate:canary@h/path")
    assert "canary" not in str(refused.value)
    assert "canary" not in repr(EngineAddress.parse("mqtt://gate:canary@h"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mqtt://gate@h", "elsewhere"),
        ("mqtt://gate:here@h", "here"),
        ("mqtt://h", None),
    ],
)
def test_password_may_come_from_elsewhere_for_a_user(text: str, expected: str | None) -> None:
    address = EngineAddress.parse(text, password="elsewhere")
    assert address.password == expected
    assert address.login == (None if expected is None else expected.encode())


@pytest.mark.parametrize("text", ["builtin", "amqtt", "mqtt://h", "unix:/p"])
def test_sessions_are_relayed_to_all_but_our_own(text: str) -> None:
    assert EngineAddress.parse(text).is_broker is (text != "builtin")
    assert EngineAddress.parse(text).tls_context() is None


def test_certificates_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    address = EngineAddress.parse("mqtts://h", ca=tmp_path / "none.pem")
    with pytest.raises(SettingsError, match=r"none\.pem cannot be read"):
        address.tls_context()
    assert EngineAddress.parse("mqtts://h").tls_context() is not None


@settings(max_examples=50)
@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        address = EngineAddress.parse(text)
    except SettingsError:
        return
    assert EngineAddress.parse(str(address)).kind is address.kind
