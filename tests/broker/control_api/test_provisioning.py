"""Bulk provisioning: which line is wrong, and what was expected there."""

import pytest

from broker.auth.registry import DeviceProtocol
from broker.control_api.provisioning import parse_devices
from broker.errors import InvalidInput
from tests.broker.rig import Rig, connect

GOOD = b'{"device_id": "d1", "primary": "primary-secret"}'


def test_line_has_defaults() -> None:
    (device,) = parse_devices(GOOD)
    assert (device.node_id, device.product_id, device.secondary) == ("d1", None, None)
    assert device.protocol is DeviceProtocol.MQTT
    assert not device.secure_access


def test_node_id_is_the_device_id_without_its_product() -> None:
    (device,) = parse_devices(b'{"device_id": "p_n", "product_id": "p", "primary": "primary-secret"}')
    assert device.node_id == "n"


def test_node_id_without_a_product_is_the_device_id_whatever_it_starts_with() -> None:
    (device,) = parse_devices(b'{"device_id": "None_n", "primary": "primary-secret"}')
    assert device.node_id == "None_n"


def test_blank_lines_do_not_count_as_devices() -> None:
    assert len(parse_devices(b"\n" + GOOD + b"\n \r\n")) == 1
    assert parse_devices(b"") == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "Invalid JSON"),
        (b"[]", "object"),
        (b"null", "device_id"),
        (b"{}", "device_id"),
        (b'{"device_id": "d 2", "primary": "primary-secret"}', "device_id"),
        (b'{"device_id": "d2\\n", "primary": "primary-secret"}', "device_id"),
        (b'{"device_id": "d2"}', "primary"),
        (b'{"device_id": "d2", "primary": "short"}', "primary: .*8 to 32"),
        (b'{"device_id": "d2", "primary": "primary-secret", "secondary": ""}', "secondary"),
        (b'{"device_id": "d2", "primary": "primary-secret", "secondry": "x"}', "secondry"),
        (b'{"device_id": "d2", "primary": "primary-secret", "protocol": "http"}', "protocol"),
        (b'{"device_id": "d2", "primary": "primary-secret", "protocol": "coap"}', "hexadecimal"),
        (b'{"device_id": "d1", "primary": "primary-secret"}', "already on line 1"),
        (b"\xff", "Invalid JSON"),
    ],
)
def test_bad_line_is_named_with_its_number_and_expectation(line: bytes, message: str) -> None:
    with pytest.raises(InvalidInput, match=f"line 2: .*{message}"):
        parse_devices(GOOD + b"\n" + line)


def test_message_never_repeats_a_secret() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_devices(b'{"device_id": "d1", "primary": "canary canary"}')
    assert "canary" not in str(caught.value)


async def test_one_bad_line_stores_nothing(rig: Rig) -> None:
    answer = await rig.call("POST", "/_platform/devices", GOOD.replace(b"d1", b"d7") + b"\n{}")
    assert (answer.status, answer.body["error_code"]) == (400, "IOTDA.000006")
    assert "line 2" in answer.body["error_msg"]
    assert await rig.refusal(connect("d7", "primary-secret")) == 4
    assert len(rig.records("provisioned")) == 1
