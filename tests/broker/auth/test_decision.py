"""The verdict over a CONNECT: every reason, and the order in which they are found."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.auth.decision import Accepted, ConnectRequest, Policy, Reason, Refused, decide, device_of
from broker.auth.registry import DeviceProtocol, Registry, Secret, Slot
from tests.broker.rig import HOUR, PRIMARY, SECONDARY, START, device, sign

R = Reason


def request(secret: str = PRIMARY, hour: str = HOUR, **fields: Any) -> ConnectRequest:
    sign_type = fields.pop("sign_type", 0)
    return ConnectRequest(
        **{
            "client_id": f"d1_0_{sign_type}_{hour}",
            "username": "d1",
            "password": sign(secret, hour),
            "keepalive": 60,
            **fields,
        }
    )


def judge(what: ConnectRequest, utc: datetime = START, **device_fields: Any) -> Accepted | Refused:
    return decide(Registry([device(**device_fields)]), what, utc, Policy())


@pytest.mark.parametrize(("secret", "slot"), [(PRIMARY, Slot.PRIMARY), (SECONDARY, Slot.SECONDARY)])
def test_either_secret_is_accepted_with_its_slot_and_version(secret: str, slot: Slot) -> None:
    verdict = judge(request(secret), primary=Secret(PRIMARY, 7), secondary=Secret(SECONDARY, 9))
    assert verdict == Accepted("d1", slot, 7 if slot is Slot.PRIMARY else 9)


def test_primary_comes_first_when_both_slots_hold_the_same_secret() -> None:
    assert judge(request(), secondary=Secret(PRIMARY, 4)) == Accepted("d1", Slot.PRIMARY, 1)


BROKEN: list[tuple[dict[str, Any], dict[str, Any], int, Reason]] = [
    ({"client_id": "nonsense"}, {}, 2, R.CLIENT_ID_SYNTAX),
    ({"client_id": f"d1_0_2_{HOUR}"}, {}, 2, R.SIGN_NOT_SUPPORTED),
    ({"keepalive": 29}, {}, 2, R.KEEPALIVE_OUT_OF_RANGE),
    ({"keepalive": 0}, {}, 2, R.KEEPALIVE_OUT_OF_RANGE),
    ({"keepalive": 1201}, {}, 2, R.KEEPALIVE_OUT_OF_RANGE),
    ({"client_id": f"d2_0_0_{HOUR}", "username": "d2"}, {}, 4, R.UNKNOWN_DEVICE),
    ({"client_id": f"n2_2_0_{HOUR}", "username": "n2"}, {}, 4, R.UNKNOWN_DEVICE),
    ({"username": "other"}, {}, 4, R.USER_NAME_MISMATCH),
    ({"username": None}, {}, 4, R.USER_NAME_MISMATCH),
    ({"sign_type": 1, "hour": "2026112117"}, {}, 4, R.STALE_HOUR),
    ({"secret": "wrong-secret"}, {}, 4, R.WRONG_PASSWORD),
    ({"password": None}, {}, 4, R.WRONG_PASSWORD),
    ({"password": sign(PRIMARY).upper()}, {}, 4, R.WRONG_PASSWORD),
    ({"secret": SECONDARY}, {"secondary": None}, 4, R.WRONG_PASSWORD),
    ({}, {"frozen": True}, 5, R.FROZEN),
    ({}, {"secure_access": True}, 5, R.SECURE_ACCESS_REQUIRED),
    ({}, {"protocol": DeviceProtocol.COAP}, 5, R.NOT_AN_MQTT_DEVICE),
    ({"secret": SECONDARY}, {"protocol": DeviceProtocol.COAP}, 4, R.WRONG_PASSWORD),
]


@pytest.mark.parametrize(("presented", "registered", "code", "reason"), BROKEN)
def test_each_fault_has_its_code_and_reason(
    presented: dict[str, Any], registered: dict[str, Any], code: int, reason: Reason
) -> None:
    verdict = judge(request(**presented), **registered)
    assert isinstance(verdict, Refused)
    assert (verdict.code, verdict.reason) == (code, reason)


FAULTS_IN_ORDER: list[tuple[Reason, dict[str, Any], dict[str, Any]]] = [
    (R.CLIENT_ID_SYNTAX, {"client_id": "nonsense"}, {}),
    (R.KEEPALIVE_OUT_OF_RANGE, {"keepalive": 1}, {}),
    (R.UNKNOWN_DEVICE, {}, {"device_id": "d9"}),
    (R.USER_NAME_MISMATCH, {"username": "other"}, {}),
    (R.STALE_HOUR, {"sign_type": 1, "hour": "2025010100"}, {}),
    (R.WRONG_PASSWORD, {"secret": "wrong-secret"}, {}),
    (R.FROZEN, {}, {"frozen": True}),
    (R.SECURE_ACCESS_REQUIRED, {}, {"secure_access": True}),
]


@given(st.sets(st.sampled_from(range(len(FAULTS_IN_ORDER))), min_size=1))
def test_the_first_fault_in_the_order_is_the_reason(faults: set[int]) -> None:
    presented: dict[str, Any] = {}
    registered: dict[str, Any] = {}
    for number in sorted(faults):
        presented |= FAULTS_IN_ORDER[number][1]
        registered |= FAULTS_IN_ORDER[number][2]
    verdict = judge(request(**presented), **registered)
    assert isinstance(verdict, Refused)
    assert verdict.reason is FAULTS_IN_ORDER[min(faults)][0]


@pytest.mark.parametrize("hour", ["2026112118", "2026112119", "2026112120"])
def test_checked_hour_may_be_one_off(hour: str) -> None:
    assert isinstance(judge(request(hour=hour, sign_type=1)), Accepted)


@pytest.mark.parametrize("hour", ["2026112117", "2026112121", "2026999999", "0000000000"])
def test_checked_hour_further_off_is_stale(hour: str) -> None:
    verdict = judge(request(hour=hour, sign_type=1))
    assert isinstance(verdict, Refused)
    assert verdict.reason is R.STALE_HOUR
    assert isinstance(judge(request(hour=hour, sign_type=0)), Accepted)


def test_hour_window_crosses_midnight_and_new_year() -> None:
    utc = datetime(2027, 1, 1, 0, 5, tzinfo=UTC)
    assert isinstance(judge(request(hour="2026123123", sign_type=1), utc), Accepted)


def test_bounds_are_settings() -> None:
    policy = Policy(sign_window_hours=(0, 0), keepalive_range_s=(10, 20))
    registry = Registry([device()])
    assert isinstance(decide(registry, request(sign_type=1, keepalive=10), START, policy), Accepted)
    assert isinstance(decide(registry, request(sign_type=1, keepalive=60), START, policy), Refused)
    off_by_one = request(sign_type=1, keepalive=10, hour="2026112118")
    assert isinstance(decide(registry, off_by_one, START, policy), Refused)


def test_keep_alive_that_nobody_told_is_not_judged() -> None:
    assert isinstance(judge(request(keepalive=None)), Accepted)
    assert isinstance(judge(request(keepalive=None, secret="another-secret")), Refused)


@pytest.mark.parametrize(
    ("client_id", "expected"),
    [
        (f"d1_0_0_{HOUR}", "d1"),
        ("d1_0_2_2020010100", "d1"),
        (f"n1_2_0_{HOUR}", "d1"),
        (f"d2_0_0_{HOUR}", None),
        (f"n2_2_0_{HOUR}", None),
        ("d1", None),
        ("", None),
    ],
)
def test_client_id_tells_its_device(client_id: str, expected: str | None) -> None:
    assert device_of(Registry([device(node_id="n1")]), client_id) == expected


def test_node_id_form_finds_the_device_and_signs_in_as_it() -> None:
    what = request(client_id=f"n1_2_0_{HOUR}", username="n1")
    assert judge(what, node_id="n1") == Accepted("d1", Slot.PRIMARY, 1)


def test_node_id_of_two_devices_lets_neither_in() -> None:
    registry = Registry([device("a", node_id="n1"), device("b", node_id="n1")])
    verdict = decide(registry, request(client_id=f"n1_2_0_{HOUR}", username="n1"), START, Policy())
    assert verdict == Refused(4, R.AMBIGUOUS_NODE_ID, "n1")


def test_encrypted_port_serves_devices_that_need_it() -> None:
    assert isinstance(judge(request(secure=True), secure_access=True), Accepted)


@given(st.binary())
def test_no_other_password_is_accepted(presented: bytes) -> None:
    if presented not in (sign(PRIMARY), sign(SECONDARY)):
        assert isinstance(judge(request(password=presented)), Refused)


def test_request_never_shows_its_password() -> None:
    assert "password" not in repr(request())


@pytest.mark.parametrize(
    ("secret", "secret_was_right"), [(PRIMARY, True), (SECONDARY, True), ("wrong-secret", False), (None, False)]
)
def test_stale_hour_says_whether_the_secret_was_right(secret: str | None, secret_was_right: bool) -> None:
    presented = {"password": None} if secret is None else {"secret": secret}
    verdict = judge(request(hour="2026112117", sign_type=1, **presented))
    assert isinstance(verdict, Refused)
    assert (verdict.reason, verdict.secret_was_right) == (R.STALE_HOUR, secret_was_right)


def test_other_refusals_do_not_say_whether_the_secret_was_right() -> None:
    for _, presented, registered in FAULTS_IN_ORDER:
        verdict = judge(request(**presented), **registered)
        assert isinstance(verdict, Refused)
        assert (verdict.secret_was_right is None) is (verdict.reason is not R.STALE_HOUR)
