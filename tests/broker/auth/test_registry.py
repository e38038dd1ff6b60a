"""Devices by id and by node id."""

from hypothesis import given
from hypothesis import strategies as st

from broker.auth.registry import Device, Registry, Secret, Slot
from tests.broker.rig import device


def test_device_is_found_by_id_and_by_node_id() -> None:
    one = device("p_n", node_id="n")
    registry = Registry([one])
    assert registry.get("p_n") is one
    assert registry.with_node_id("n") == (one,)
    assert registry.get("n") is None
    assert len(registry) == 1


def test_node_id_of_two_products_finds_both_devices() -> None:
    registry = Registry([device("p_n", node_id="n"), device("q_n", node_id="n")])
    assert {one.device_id for one in registry.with_node_id("n")} == {"p_n", "q_n"}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"))))
def test_node_ids_always_agree_with_the_devices(puts: list[tuple[str, str]]) -> None:
    registry, expected = Registry(), dict[str, Device]()
    for device_id, node_id in puts:
        expected[device_id] = device(device_id, node_id=node_id)
        registry.put(expected[device_id])
    for node_id in "xyz":
        wanted = {one.device_id for one in expected.values() if one.node_id == node_id}
        assert {one.device_id for one in registry.with_node_id(node_id)} == wanted


def test_version_is_current_until_its_slot_changes() -> None:
    registry = Registry([device(primary=Secret("primary-2", 2))])
    assert registry.is_current("d1", Slot.PRIMARY, 2)
    assert not registry.is_current("d1", Slot.PRIMARY, 1)
    assert registry.is_current("d1", Slot.SECONDARY, 1)
    registry.put(device(secondary=None))
    assert not registry.is_current("d1", Slot.SECONDARY, 1)
    assert not registry.is_current("d2", Slot.PRIMARY, 1)


def test_secret_shows_its_fingerprint_and_not_itself() -> None:
    secret = Secret("12345678", 3)
    assert secret.fingerprint == "ef797c81"
    assert "12345678" not in repr(device(primary=secret))
