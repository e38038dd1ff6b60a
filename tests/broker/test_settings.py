"""What can be set, and what is refused with one clear line."""

from typing import Any

import pytest

from broker.engines.address import EngineAddress
from broker.errors import SettingsError
from broker.settings import Settings

API = "http://op:canary@localhost:15672"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_loopback_needs_no_leave(host: str) -> None:
    assert Settings(host=host).host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.1", "::", "example.org"])
def test_other_addresses_need_expose_and_a_token(host: str) -> None:
    with pytest.raises(SettingsError, match="--expose"):
        Settings(host=host)
    with pytest.raises(SettingsError, match="--token"):
        Settings(host=host, expose=True)
    assert Settings(host=host, expose=True, token="t").expose
    assert Settings(host=host, expose=True, access_key="a", secret_key="s").expose


def test_open_policy_is_for_loopback_and_for_an_engine_that_offers_more() -> None:
    broker = EngineAddress.parse("mqtt://127.0.0.1")
    assert Settings(engine=broker, policy="open").is_open
    with pytest.raises(SettingsError, match="lets in whoever says that it is no device, and --expose lets strangers"):
        Settings(host="0.0.0.0", engine=broker, policy="open", expose=True, token="t")
    with pytest.raises(SettingsError, match="expected an engine"):
        Settings(policy="open")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mqtt_port": -1}, "mqtt_port is -1"),
        ({"http_port": 65_536}, "http_port is 65536"),
        ({"mqtt_port": 9000, "http_port": 9000}, "both 9000"),
        ({"sign_window_hours": (1, -1)}, "sign_window_hours"),
        ({"keepalive_range_s": (100, 10)}, "keepalive_range_s"),
        ({"connect_timeout_s": 0.0}, "connect_timeout_s"),
        ({"write_cap": 0}, "write_cap"),
        ({"push_timeout_s": 0.0}, "push_timeout_s"),
        ({"push_backoff_s": (1.0, 0.0)}, "push_backoff_s"),
        ({"push_queue_limit": 0}, "push_queue_limit"),
        ({"roma_shortest_password": 7}, "roma_shortest_password is 7"),
        ({"roma_shortest_password": 33}, "roma_shortest_password is 33"),
        ({"token": ""}, "token: expected"),
        ({"access_key": "canary"}, "access_key and secret_key belong together"),
        ({"secret_key": "canary"}, "access_key and secret_key belong together"),
        ({"access_key": "", "secret_key": "canary"}, "access_key: expected"),
        ({"access_key": "canary/x", "secret_key": "canary"}, "access_key: expected"),
        ({"access_key": "canary", "secret_key": ""}, "secret_key: expected"),
        ({"hook": "mosquitto", "engine_api": API}, "hook is 'mosquitto', expected rabbitmq or emqx"),
        ({"hook": "rabbitmq"}, "hook: expected engine_api"),
        ({"hook": "emqx", "engine_api": "http://op@localhost"}, "expected a password"),
        ({"engine_api": API}, "engine_api and hook_token are for a hook"),
        ({"hook_token": "canary"}, "engine_api and hook_token are for a hook"),
        ({"hook": "rabbitmq", "engine_api": API, "hook_token": ""}, "hook_token: expected one"),
        ({"hook": "rabbitmq", "engine_api": API, "token": "canary"}, "hook_token: expected one"),
        ({"hook": "emqx", "engine_api": API, "access_key": "k", "secret_key": "canary"}, "hook_token: expected one"),
        ({"engine_poll_s": 0.0}, "engine_poll_s"),
        ({"engine_settle_s": -1.0}, "engine_settle_s"),
        ({"engine_timeout_s": 0.0}, "engine_timeout_s"),
    ],
)
def test_impossible_value_is_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message) as refused:
        Settings(**values)
    assert "canary" not in str(refused.value)


def test_token_and_keys_never_show() -> None:
    assert "canary" not in repr(Settings(token="canary", access_key="canary", secret_key="canary"))


def test_password_and_token_of_a_hook_never_show() -> None:
    settings = Settings(hook="emqx", engine_api=API, engine_password="canary", hook_token="canary", token="t")
    assert "canary" not in repr(settings)
