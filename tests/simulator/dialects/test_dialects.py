"""How devices of either protocol word things; the platform's twin is not asked."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.credentials import EndpointCredentials, MqttCredentials, is_psk, psk
from simulator.device.keyring import Slot
from simulator.device.profiles import PROFILES
from simulator.dialects.dialect import Dialect
from simulator.dialects.lwm2m import Lwm2mDialect
from simulator.dialects.mqtt import MqttDialect
from simulator.messages import Command

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
PLAIN = PROFILES["full-jitter"]
SECRET = "00112233445566778899aabbccddeeff"
LWM2M = Lwm2mDialect({"product_imei": "imei"})


def cloud_request(**changes: Any) -> bytes:
    paras = {"secret_type": "PRIMARY", "secret": SECRET, "seq": 7}
    return orjson.dumps(
        {"msgType": "cloudReq", "mid": 5, "serviceId": "s", "cmd": "set_secret", "paras": paras, **changes}
    )


def test_mqtt_device_signs_with_its_profiles_digit_or_its_fleets() -> None:
    profile = PROFILES["huawei-python"]
    own = MqttDialect().credentials("d1", SECRET, profile, NOON)
    fleets = MqttDialect(sign=0).credentials("d1", SECRET, profile, NOON)
    assert (own.client_id, fleets.client_id) == ("d1_0_1_2026112212", "d1_0_0_2026112212")
    assert isinstance(own, MqttCredentials)


def test_lwm2m_device_proves_the_bytes_that_its_secret_is_the_hex_of() -> None:
    assert LWM2M.credentials("d1", SECRET, PLAIN, NOON) == EndpointCredentials("d1", bytes.fromhex(SECRET))


def test_endpoint_is_the_node_id_where_that_is_another() -> None:
    assert LWM2M.credentials("product_imei", SECRET, PLAIN, NOON).endpoint == "imei"


def test_in_the_clear_there_is_no_key() -> None:
    dialect = Lwm2mDialect({}, shows_secret=False)
    assert dialect.credentials("d1", SECRET, PLAIN, NOON) == EndpointCredentials("d1", None)


@pytest.mark.parametrize("secret", ["0011223", "001122334", "no hex at all", "00" * 17, "", "00112233\n"])
def test_what_is_no_key_is_told_without_its_value(secret: str) -> None:
    assert not is_psk(secret)
    with pytest.raises(ValueError, match="expected 8 to 32 hexadecimal digits") as raised:
        psk(secret)
    assert not secret or secret not in str(raised.value)


def test_key_is_not_shown() -> None:
    assert repr(LWM2M.credentials("d1", SECRET, PLAIN, NOON)) == "EndpointCredentials(endpoint='d1')"


def test_lwm2m_device_understands_the_command_that_hands_it_a_secret() -> None:
    assert LWM2M.request("d1", "19/1/0", cloud_request()) == ("5", Command("set_secret", 0, 7, Slot.PRIMARY, SECRET))


@pytest.mark.parametrize("secret", ["no hex", "0011223", 5, None])
def test_secret_that_is_no_key_is_answered_with_an_error(secret: object) -> None:
    paras = {"secret_type": "PRIMARY", "secret": secret}
    found = LWM2M.request("d1", "19/1/0", cloud_request(paras=paras))
    assert found is not None
    assert (found[1].result_code, found[1].secret) == (1, None)


def test_answer_has_the_number_of_its_request() -> None:
    topic, body = LWM2M.response("d1", "5", Command("set_secret", 0, 7))
    assert topic == "19/0/0"
    assert body == {
        "msgType": "deviceRsp",
        "mid": 5,
        "errcode": 0,
        "body": {"response_name": "set_secret_response", "seq": 7},
    }


def test_report_has_the_shape_that_the_vendors_codec_makes() -> None:
    assert LWM2M.report("d1", {"number": 1}) == (
        "19/0/0",
        {"msgType": "deviceReq", "hasMore": 0, "data": [{"serviceId": "keyturn", "serviceData": {"number": 1}}]},
    )


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("19/0/0", cloud_request()),
        ("19/1/0", b"\x03\x00\x01"),
        ("19/1/0", b"[]"),
        ("19/1/0", cloud_request(msgType="deviceReq")),
        ("19/1/0", orjson.dumps({"msgType": "cloudReq"})),
        ("19/1/0", cloud_request(mid="5")),
        ("19/1/0", cloud_request(mid=5.5)),
        ("19/1/0", b'{"msgType":"cloudReq","mid":99999999999999999999,"cmd":"c","paras":{}}'),
    ],
)
def test_what_is_no_command_is_passed_over(topic: str, payload: bytes) -> None:
    assert LWM2M.request("d1", topic, payload) is None


@pytest.mark.parametrize("dialect", [MqttDialect(), LWM2M])
@given(st.binary(max_size=60))
def test_any_payload_is_taken(dialect: Dialect[Any], payload: bytes) -> None:
    for topic in ("19/1/0", "$oc/devices/d1/sys/commands/request_id=1"):
        found = dialect.request("d1", topic, payload)
        assert found is None or dialect.response("d1", *found)


@pytest.mark.parametrize(
    "request_", [cloud_request(cmd="c" * 16_000), cloud_request(paras={"seq": [[["deep"]]]}), cloud_request(cmd=None)]
)
def test_answer_to_whatever_request_is_small(request_: bytes) -> None:
    found = LWM2M.request("d1", "19/1/0", request_)
    assert found is not None
    assert len(orjson.dumps(LWM2M.response("d1", *found)[1])) < 300
