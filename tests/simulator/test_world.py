"""Fleets built from a scenario: identities, shares of profiles, what is journalled, what is refused."""

from collections import Counter
from pathlib import Path
from typing import get_args

import pytest

from simulator.clock import SystemClock
from simulator.device.keyring import Fallback
from simulator.errors import UsageError
from simulator.journal import Journal, Record
from simulator.ledger import Identity, Ledger
from simulator.links.aiomqtt import AiomqttEngine
from simulator.links.link import Endpoint, Endpoints, EngineName
from simulator.links.native import NativeEngine
from simulator.links.paho import PahoEngine
from simulator.scenario.fleets import Fleet
from simulator.scenario.model import Scenario
from simulator.world import Builder, World, fleet_identities, share_out, shuffled


def scenario(**fleets: object) -> Scenario:
    timeline = [{"id": "up", "start": list(fleets)}]
    return Scenario.model_validate({"name": "a test", "intent": "routine", "fleets": fleets, "timeline": timeline})


async def build(plan: Scenario) -> tuple[World, list[Identity], list[Record]]:
    records: list[Record] = []
    journal = Journal(SystemClock())
    journal.listeners.append(records.append)
    builder = Builder(journal, SystemClock(), lambda *_: None)
    world, identities = builder.build(plan, Endpoints(*[Endpoint("127.0.0.1", 1)] * 4))
    return world, identities, records


def test_same_seed_draws_the_same_devices_and_another_seed_others() -> None:
    fleet = Fleet(count=3)
    first = fleet_identities("meters", fleet, Ledger(1))
    assert first == fleet_identities("meters", fleet, Ledger(1))
    assert {one.primary for one in first}.isdisjoint(
        one.primary for one in fleet_identities("meters", fleet, Ledger(2))
    )
    assert len({one.primary for one in first} | {one.secondary for one in first}) == 6


def test_primary_only_devices_have_no_secondary() -> None:
    (identity,) = fleet_identities("meters", Fleet(count=1, secrets="primary"), Ledger(1))
    assert identity.secondary is None


def test_profiles_are_dealt_in_exact_shares_and_mixed() -> None:
    ids = [f"d{number}" for number in range(10)]
    dealt = share_out({"full-jitter": 0.7, "huawei-python": 0.3}, ids, seed=1)
    assert Counter(profile.name for profile in dealt.values()) == {"full-jitter": 7, "huawei-python": 3}
    assert dealt != share_out({"full-jitter": 0.7, "huawei-python": 0.3}, ids, seed=2)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_every_device_gets_a_profile_however_the_shares_round(count: int) -> None:
    ids = [f"d{number}" for number in range(count)]
    shares = {"full-jitter": 1 / 3, "huawei-java": 1 / 3, "huawei-c": 1 / 3}
    assert len(share_out(shares, ids, seed=1)) == count


def test_waves_are_in_an_order_that_the_seed_decides() -> None:
    ids = [f"d{number}" for number in range(20)]
    assert shuffled(ids, 1, -2) == shuffled(list(reversed(ids)), 1, -2)
    assert shuffled(ids, 1, -2) != shuffled(ids, 2, -2)
    assert shuffled(ids, 1, -2) != ids


async def test_devices_are_introduced_by_fingerprints() -> None:
    _, identities, records = await build(scenario(meters={"count": 2}))
    assert [record["kind"] for record in records] == ["device", "device"]
    assert records[0]["presents"] == ("primary", "secondary")
    assert all(one.primary not in str(records) and str(one.secondary) not in str(records) for one in identities)


async def test_fallback_profile_leaves_each_profile_its_own() -> None:
    shares = {"full-jitter": 0.5, "huawei-python": 0.5}
    world, _, _ = await build(scenario(meters={"count": 2, "fallback": "profile", "profiles": shares}))
    policies = {driver.device.keyring.fallback for driver in world.fleets["meters"].drivers.values()}
    assert policies == {Fallback.PRIMARY_THEN_SECONDARY, Fallback.PRIMARY_ONLY}


async def test_each_fleet_has_the_link_engine_that_it_names() -> None:
    world, _, _ = await build(scenario(**{link: {"count": 1, "link": link} for link in get_args(EngineName)}))
    assert [type(engine) for engine in world.engines] == [NativeEngine, PahoEngine, AiomqttEngine]


async def test_file_with_more_devices_than_run_on_aiomqtt_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "devices.csv"
    path.write_text("device_id,primary\n" + "".join(f"d{number},abcdefgh\n" for number in range(2_000)))
    plan = scenario(one={"count": 1, "link": "aiomqtt"}, many={"devices": str(path), "link": "aiomqtt"})
    with pytest.raises(
        UsageError, match=r"fleets\.many\.devices: 2001 devices on link aiomqtt, at most 2000 are taken"
    ):
        await build(plan)


async def test_device_in_two_fleets_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "devices.csv"
    path.write_text("device_id,primary,secondary\nd1,abcdefgh,\n")
    with pytest.raises(UsageError, match="more than one fleet"):
        await build(scenario(a={"devices": str(path)}, b={"devices": str(path)}))


def test_devices_of_lwm2m_are_registered_as_such_and_those_with_a_key_as_secure() -> None:
    fleets = {"valves": Fleet(count=1, protocol="lwm2m"), "taps": Fleet(count=1, protocol="lwm2m", security="none")}
    (valve,), (tap,) = (fleet_identities(name, fleet, Ledger(1)) for name, fleet in fleets.items())
    assert (valve.protocol, valve.secure_access, valve.secondary) == ("coap", True, None)
    assert (tap.protocol, tap.secure_access) == ("coap", False)


def test_devices_of_mqtt_over_tls_are_registered_as_secure() -> None:
    (identity,) = fleet_identities("meters", Fleet(count=1, security="tls"), Ledger(1))
    assert (identity.protocol, identity.secure_access) == ("mqtt", True)


def test_secret_that_can_be_no_key_is_refused_with_its_device_and_without_its_value(tmp_path: Path) -> None:
    path = tmp_path / "devices.csv"
    path.write_text("device_id,primary\nd1,not-hexadecimal\n")
    with pytest.raises(UsageError, match="device d1: bad primary secret, expected 8 to 32 hexadecimal") as raised:
        fleet_identities("valves", Fleet(devices=path, protocol="lwm2m"), Ledger(1))
    assert "not-hexadecimal" not in str(raised.value)


@pytest.mark.parametrize("node_id", ["x" * 65, "a&b", "a b"])
def test_name_that_can_be_no_endpoint_is_refused(tmp_path: Path, node_id: str) -> None:
    path = tmp_path / "devices.ndjson"
    path.write_text(f'{{"device_id": "d1", "primary": "00112233", "node_id": "{node_id}"}}')
    with pytest.raises(UsageError, match="device d1: bad node_id, expected 1 to 64"):
        fleet_identities("valves", Fleet(devices=path, protocol="lwm2m"), Ledger(1))


def test_endpoint_of_a_device_is_its_node_id() -> None:
    assert Identity("d1", "00112233").endpoint == "d1"
    assert Identity("product_imei", "00112233", product_id="product").endpoint == "imei"
    assert Identity("product_imei", "00112233", product_id="product", node_id="other").endpoint == "other"


async def test_devices_in_the_clear_are_introduced_as_presenting_nothing() -> None:
    _, _, records = await build(scenario(taps={"count": 1, "protocol": "lwm2m", "security": "none"}))
    assert (records[0]["protocol"], records[0]["presents"]) == ("LwM2M (plain)", ())


async def test_authority_that_is_none_is_told() -> None:
    builder = Builder(Journal(SystemClock()), SystemClock(), lambda *_: None)
    endpoints = Endpoints(mqtts=Endpoint("127.0.0.1", 1), ca="no certificate")
    with pytest.raises(UsageError, match=r"platform\.ca: no certificates in PEM"):
        builder.build(scenario(meters={"count": 1, "security": "tls"}), endpoints)


async def test_what_links_wait_for_goes_on_when_the_devices_timers_are_cleared() -> None:
    world, _, _ = await build(scenario(a={"count": 1}))
    (native,) = world.engines
    assert isinstance(native, NativeEngine)
    assert native.scheduler is world.link_scheduler
    assert {driver.around.scheduler for driver in world.fleets["a"].drivers.values()} == {world.scheduler}
    assert world.scheduler is not world.link_scheduler
