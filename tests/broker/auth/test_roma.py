"""The verdict over the CONNECT of a ROMA device, and the registry that it is judged by."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.auth.decision import Accepted, ConnectRequest, Policy, Reason, Refused, decide
from broker.auth.registry import Registry
from broker.auth.roma import Authentication, Product, ProductFacts, RomaDevice, RomaRegistry
from broker.auth.secret import Secret, Slot
from tests.broker.rig import HOUR, START, device, sign

CLIENT_ID = "D000000001abcdef"
OWN = Authentication("meter-7", Secret("Own-Password-001", 3))
SHARED = Authentication("meters", Secret("Product-Password-1", 5))

R = Reason


def roma_device(**changes: Any) -> RomaDevice:
    known = RomaDevice(1, CLIENT_ID, 1, "meter", "m-7", "hall", None, False, 0, OWN)
    return replace(known, **changes)


def registry(**changes: Any) -> Registry:
    shared = changes.pop("shared", SHARED)
    product = Product(1, ProductFacts("meters", "hall", "acme", "Acme", "m1", 0, 0), shared, 0)
    return Registry([device()], roma=RomaRegistry([product], [roma_device(**changes)]))


def request(user_name: str | None = "meter-7", password: str = "Own-Password-001", **fields: Any) -> ConnectRequest:
    known = {"client_id": CLIENT_ID, "username": user_name, "password": password.encode(), "keepalive": 60}
    return ConnectRequest(**{**known, **fields})


def judge(what: ConnectRequest, **changes: Any) -> Accepted | Refused:
    return decide(registry(**changes), what, START, Policy())


def test_own_password_and_the_products_are_of_equal_validity() -> None:
    assert judge(request()) == Accepted(CLIENT_ID, Slot.PRIMARY, 3)
    assert judge(request("meters", "Product-Password-1")) == Accepted(CLIENT_ID, Slot.PRODUCT, 5)


def test_own_password_comes_first_when_both_are_the_same() -> None:
    assert judge(request(), shared=replace(OWN, password=Secret("Own-Password-001", 9))) == Accepted(
        CLIENT_ID, Slot.PRIMARY, 3
    )


def test_same_user_name_serves_either_password() -> None:
    shared = Authentication("meter-7", SHARED.password)
    assert judge(request(password="Product-Password-1"), shared=shared) == Accepted(CLIENT_ID, Slot.PRODUCT, 5)


@pytest.mark.parametrize(
    ("presented", "registered", "code", "reason"),
    [
        ({"client_id": "D1"}, {}, 2, R.CLIENT_ID_SYNTAX),
        ({"client_id": ""}, {}, 2, R.CLIENT_ID_SYNTAX),
        ({"keepalive": 29}, {}, 2, R.KEEPALIVE_OUT_OF_RANGE),
        ({"keepalive": 0}, {}, 2, R.KEEPALIVE_OUT_OF_RANGE),
        ({"client_id": "D000000002abcdef"}, {}, 4, R.UNKNOWN_DEVICE),
        ({"client_id": "d1"}, {}, 2, R.CLIENT_ID_SYNTAX),
        ({"user_name": None}, {}, 4, R.USER_NAME_MISMATCH),
        ({"user_name": CLIENT_ID}, {}, 4, R.USER_NAME_MISMATCH),
        ({"user_name": "METER-7"}, {}, 4, R.USER_NAME_MISMATCH),
        ({"password": "Product-Password-1"}, {}, 4, R.WRONG_PASSWORD),
        ({"user_name": "meters"}, {}, 4, R.WRONG_PASSWORD),
        ({"password": ""}, {}, 4, R.WRONG_PASSWORD),
        ({}, {"disabled": True}, 5, R.FROZEN),
        ({"user_name": "meters", "password": "Product-Password-1"}, {"disabled": True}, 5, R.FROZEN),
        ({"password": "wrong"}, {"disabled": True}, 4, R.WRONG_PASSWORD),
    ],
)
def test_each_fault_has_its_code_and_reason(
    presented: dict[str, Any], registered: dict[str, Any], code: int, reason: Reason
) -> None:
    verdict = judge(request(**presented), **registered)
    assert isinstance(verdict, Refused)
    assert (verdict.code, verdict.reason) == (code, reason)
    assert verdict.secret_was_right is None


def test_signature_of_iotda_lets_no_roma_device_in() -> None:
    signed = {"password": sign(OWN.password.value).decode(), "client_id": f"{CLIENT_ID}_0_0_{HOUR}"}
    verdict = judge(request(CLIENT_ID, **signed))
    assert verdict == Refused(4, R.UNKNOWN_DEVICE, CLIENT_ID)
    assert judge(request("m-7", **{**signed, "client_id": f"m-7_2_0_{HOUR}"})) == Refused(4, R.UNKNOWN_DEVICE, "m-7")


@given(st.binary())
def test_no_other_password_is_accepted(presented: bytes) -> None:
    if presented != OWN.password.value.encode():
        assert isinstance(decide(registry(), replace_password(presented), START, Policy()), Refused)


@given(st.text(max_size=20) | st.just(CLIENT_ID), st.none() | st.text(max_size=20), st.none() | st.binary(max_size=20))
def test_anything_presented_is_judged(client_id: str, user_name: str | None, presented: bytes | None) -> None:
    verdict = decide(registry(), ConnectRequest(client_id, user_name, presented, 60), START, Policy())
    assert isinstance(verdict, Refused)


def replace_password(presented: bytes) -> ConnectRequest:
    return ConnectRequest(CLIENT_ID, "meter-7", presented, 60)


def test_version_is_current_in_its_own_slot_only() -> None:
    known = registry()
    assert known.is_current(CLIENT_ID, Slot.PRIMARY, 3)
    assert known.is_current(CLIENT_ID, Slot.PRODUCT, 5)
    assert not known.is_current(CLIENT_ID, Slot.PRIMARY, 5)
    assert not known.is_current(CLIENT_ID, Slot.SECONDARY, 3)
    assert not known.is_current("d1", Slot.PRODUCT, 1)
    known.roma.remove(roma_device())
    assert not known.is_current(CLIENT_ID, Slot.PRIMARY, 3)


def test_iotda_sees_no_roma_device() -> None:
    known = registry()
    assert known.get(CLIENT_ID) is None
    assert known.with_node_id("m-7") == ()
    assert [one.device_id for one in known.newest_first()] == ["d1"]


def test_newest_product_of_a_model_is_found() -> None:
    known = RomaRegistry()
    for number, model in ((1, "m1"), (2, "m1"), (3, "m2")):
        known.put_product(Product(number, ProductFacts("n", "a", "acme", "Acme", model, 0, 0), SHARED, 0))
    found = known.product_of_model("acme", "m1")
    assert found is not None
    assert found.id == 2
    assert known.product_of_model("other", "m1") is None


def test_password_never_shows() -> None:
    assert "Own-Password" not in repr(roma_device())
