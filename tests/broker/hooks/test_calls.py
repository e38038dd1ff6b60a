"""What brokers ask, in their own words. EMQX's are from its documents: no EMQX was run."""

from urllib.parse import urlencode

import pytest

from broker.hooks import calls
from broker.hooks.calls import Login, ResourceUse, TopicUse, Use

CLIENT = "d1_0_0_2026112119"
TOPIC = {
    "username": "d1",
    "vhost": "/",
    "resource": "topic",
    "name": "amq.topic",
    "permission": "read",
    "tags": "",
    "routing_key": "$oc.devices.d1.#",
    "variable_map.client_id": CLIENT,
}


def form(**fields: str) -> bytes:
    return urlencode(fields).encode()


def test_login_of_rabbitmq_is_read() -> None:
    body = form(username="d1", password="pä ss&=+%", vhost="/", client_id=CLIENT)
    assert calls.login_of_form(body) == Login(CLIENT, "d1", "pä ss&=+%".encode())


def test_login_of_rabbitmq_without_a_client_id_or_a_password_is_one() -> None:
    assert calls.login_of_form(form(username="operator")) == Login("", "operator", None)
    assert calls.login_of_form(form(username="", password="")) == Login("", "", b"")


@pytest.mark.parametrize("body", [b"", b"\xff", b"username=%ff", b"password=x", b"username=u" + b"&a=1" * 32])
def test_login_of_rabbitmq_that_says_nothing_is_none(body: bytes) -> None:
    assert calls.login_of_form(body) is None


def test_topic_of_rabbitmq_is_read() -> None:
    assert calls.topic_of_form(form(**TOPIC)) == TopicUse(CLIENT, Use.SUBSCRIBE, "$oc.devices.d1.#")
    assert calls.topic_of_form(form(**{**TOPIC, "permission": "write"})) == TopicUse(
        CLIENT, Use.PUBLISH, "$oc.devices.d1.#"
    )


@pytest.mark.parametrize("missing", ["permission", "routing_key", "variable_map.client_id"])
def test_topic_of_rabbitmq_without_a_part_is_none(missing: str) -> None:
    assert calls.topic_of_form(form(**{name: text for name, text in TOPIC.items() if name != missing})) is None
    assert calls.topic_of_form(form(**{**TOPIC, "permission": "configure"})) is None


def test_resource_and_virtual_host_of_rabbitmq_are_read() -> None:
    body = form(username="d1", resource="queue", name="q", permission="write", client_id=CLIENT)
    assert calls.resource_of_form(body) == ResourceUse(CLIENT, "queue", "q")
    assert calls.resource_of_form(form(resource="queue")) is None
    assert calls.virtual_host_of_form(form(username="d1", vhost="/", ip="::1", client_id=CLIENT)) == CLIENT
    assert calls.virtual_host_of_form(b"\xff") is None


def test_login_of_emqx_as_documented_is_read() -> None:
    body = b'{"clientid":"%b","username":"d1","password":"p\\u00e4ss","peerhost":"10.0.0.7"}' % CLIENT.encode()
    assert calls.login_of_json(body) == Login(CLIENT, "d1", "päss".encode(), "10.0.0.7")
    assert calls.login_of_json(b'{"clientid":"x"}') == Login("x", None, None)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"x"', b"{}", b'{"clientid":1}', b'{"clientid":"x","password":{}}', b"\xff"]
)
def test_login_of_emqx_that_says_nothing_is_none(body: bytes) -> None:
    assert calls.login_of_json(body) is None


def test_topic_of_emqx_as_documented_is_read() -> None:
    body = b'{"clientid":"c","username":"d1","topic":"$oc/devices/d1/#","action":"subscribe","qos":"1"}'
    assert calls.topic_of_json(body) == TopicUse("c", Use.SUBSCRIBE, "$oc/devices/d1/#")


@pytest.mark.parametrize(
    "body", [b"{}", b'{"clientid":"c","topic":"t","action":"all"}', b'{"clientid":"c","action":"publish"}', b"[]"]
)
def test_topic_of_emqx_that_says_nothing_is_none(body: bytes) -> None:
    assert calls.topic_of_json(body) is None


def test_password_never_shows() -> None:
    assert "canary" not in repr(Login("c", "u", b"canary"))
