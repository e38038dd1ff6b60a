"""Many devices steered together, on virtual time: ramps, telemetry, the network, and waiting for what they owe."""

import asyncio
from collections import Counter
from itertools import pairwise

import pytest

from simulator.device.lifecycle import State
from simulator.driver import Driver
from simulator.fleet import Fleet, Telemetry, drain
from tests.support.stage import WAIT_S, Stage, body
from tests.support.waiting import turns
from wire.mqtt import Publish

EVERY_S = 10.0


@pytest.fixture
def stage() -> Stage:
    return Stage()


def fleet_of(stage: Stage, count: int, telemetry: Telemetry | None = None) -> Fleet:
    drivers = [stage.driver(f"d{number}") for number in range(count)]
    return Fleet("cars", drivers, stage.scheduler, telemetry)


def online_fleet(stage: Stage, count: int, telemetry: Telemetry | None = None) -> Fleet:
    """A fleet whose devices are all connected and owe nothing."""
    fleet = fleet_of(stage, count, telemetry)
    for driver in fleet.drivers.values():
        driver.start()
        stage.engine.last.accept()
        stage.engine.last.acknowledge()
    return fleet


def reports(stage: Stage, device_id: str | None = None) -> list[Publish]:
    """Telemetry that was sent, by all or by one."""
    return [
        publish
        for link in stage.engine.links
        for publish in link.sent
        if publish.topic.endswith("/sys/properties/report") and device_id in (None, link.credentials.username)
    ]


# -- spread


async def test_spread_acts_on_every_device_in_order_and_evenly_over_the_time(stage: Stage) -> None:
    acted: list[tuple[str, float, float]] = []

    def act(driver: Driver, intended: float) -> None:
        acted.append((driver.device.device_id, intended - start, stage.time.time() - start))

    start = stage.time.time()
    done = asyncio.ensure_future(fleet_of(stage, 5).spread(10.0, act))
    stage.time.advance(20.0)
    await done
    assert [device_id for device_id, _, _ in acted] == ["d0", "d1", "d2", "d3", "d4"]
    assert [intended for _, intended, _ in acted] == [0.0, 2.0, 4.0, 6.0, 8.0]
    assert all(0 <= actual - intended < 0.002 for _, intended, actual in acted)


async def test_spread_is_done_when_the_last_device_was_acted_on(stage: Stage) -> None:
    done = asyncio.ensure_future(fleet_of(stage, 4).spread(8.0, lambda driver, _when: driver.start()))
    stage.time.advance(5.9)
    await turns()
    assert not done.done()
    assert len(stage.engine.links) == 3
    stage.time.advance(0.2)
    await turns()
    assert done.done()
    assert len(stage.engine.links) == 4


async def test_spread_over_no_time_acts_at_once_and_in_order(stage: Stage) -> None:
    done = asyncio.ensure_future(fleet_of(stage, 3).spread(0.0, lambda driver, _when: driver.start()))
    stage.time.advance()
    await done
    assert [link.credentials.username for link in stage.engine.links] == ["d0", "d1", "d2"]


async def test_spread_goes_on_when_nobody_waits_for_it_any_more(stage: Stage) -> None:
    done = asyncio.ensure_future(fleet_of(stage, 3).spread(3.0, lambda driver, _when: driver.start()))
    stage.time.advance(0.1)
    done.cancel()
    stage.time.advance(5.0)
    assert len(stage.engine.links) == 3


async def test_device_that_crashes_does_not_hold_up_the_spread(stage: Stage) -> None:
    fleet = fleet_of(stage, 3)
    fleet.drivers["d1"].device.keyring.held = ()
    done = asyncio.ensure_future(fleet.spread(3.0, lambda driver, _when: driver.start()))
    stage.time.advance(5.0)
    await done
    assert [link.credentials.username for link in stage.engine.links] == ["d0", "d2"]
    assert [device_id for device_id, _ in stage.crashes] == ["d1"]


# -- the network


def test_network_taken_away_loses_every_link_and_given_back_lets_all_return(stage: Stage) -> None:
    fleet = online_fleet(stage, 3)
    fleet.set_network(up=False)
    stage.time.advance()
    assert {driver.device.state for driver in fleet.drivers.values()} == {State.WAITING}
    assert stage.engine.open_links == 0
    stage.time.advance(WAIT_S + 1)
    assert len(stage.engine.links) == 3  # nobody gets through
    assert len(stage.of_kind("unreachable")) == 3
    fleet.set_network(up=True)
    stage.time.advance(WAIT_S + 1)
    for link in stage.engine.links[3:]:
        link.accept()
    assert all(driver.online for driver in fleet.drivers.values())


def test_network_taken_away_leaves_devices_that_are_off_alone(stage: Stage) -> None:
    fleet = fleet_of(stage, 2)
    fleet.set_network(up=False)
    stage.time.advance(WAIT_S)
    assert {driver.device.state for driver in fleet.drivers.values()} == {State.IDLE}
    assert stage.records == []


# -- telemetry


def test_every_device_reports_once_a_period_each_at_its_own_phase(stage: Stage) -> None:
    fleet = online_fleet(stage, 20, Telemetry(EVERY_S))
    fleet.begin_telemetry()
    times: dict[str, list[float]] = {device_id: [] for device_id in fleet.drivers}
    start = stage.time.time()
    for _ in range(300):
        before = len(stage.of_kind("sent"))
        stage.time.advance(0.1)
        for record in stage.of_kind("sent")[before:]:
            times[record["device"]].append(record["t"] - start)
    assert {len(at) for at in times.values()} == {3}
    for at in times.values():
        assert [later - earlier for earlier, later in pairwise(at)] == pytest.approx([EVERY_S, EVERY_S], abs=0.01)
    phases = [at[0] for at in times.values()]
    assert all(0 <= phase < EVERY_S for phase in phases)
    assert len({round(phase, 1) for phase in phases}) > 10
    assert max(Counter(int(phase) for phase in phases).values()) < 10  # no herd


def test_phases_depend_on_nothing_but_seed_and_device(stage: Stage) -> None:
    def first_reports() -> list[float]:
        one = Stage()
        online_fleet(one, 5, Telemetry(EVERY_S)).begin_telemetry()
        before = len(one.of_kind("sent"))
        one.time.advance(EVERY_S)
        return [record["t"] for record in one.of_kind("sent")[before:]]

    assert first_reports() == first_reports()


@pytest.mark.parametrize("qos", [0, 1])
def test_report_counts_up_and_has_its_padding(stage: Stage, qos: int) -> None:
    fleet = online_fleet(stage, 1, Telemetry(EVERY_S, qos, padding=12))
    fleet.begin_telemetry()
    stage.time.advance(2 * EVERY_S)
    sent = reports(stage)
    assert [publish.qos for publish in sent] == [qos, qos]
    assert [body(publish)["services"][0]["properties"] for publish in sent] == [
        {"number": 1, "padding": "............"},
        {"number": 2, "padding": "............"},
    ]


def test_only_devices_that_are_online_report(stage: Stage) -> None:
    fleet = online_fleet(stage, 3, Telemetry(EVERY_S))
    fleet.drivers["d1"].stop()
    fleet.begin_telemetry()
    stage.time.advance(EVERY_S)
    assert [len(reports(stage, device_id)) for device_id in ("d0", "d1", "d2")] == [1, 0, 1]
    fleet.drivers["d1"].start()
    stage.engine.last.accept()
    stage.time.advance(EVERY_S)
    assert [len(reports(stage, device_id)) for device_id in ("d0", "d1", "d2")] == [2, 1, 2]


def test_telemetry_that_has_begun_does_not_begin_again(stage: Stage) -> None:
    fleet = online_fleet(stage, 1, Telemetry(EVERY_S))
    fleet.begin_telemetry()
    fleet.begin_telemetry()
    stage.time.advance(3 * EVERY_S)
    assert len(reports(stage)) == 3


def test_ended_telemetry_is_silent_at_once_and_for_good(stage: Stage) -> None:
    fleet = online_fleet(stage, 3, Telemetry(EVERY_S))
    fleet.begin_telemetry()
    stage.time.advance(EVERY_S)
    fleet.end_telemetry()
    stage.time.advance(5 * EVERY_S)
    assert len(reports(stage)) == 3


def test_telemetry_begun_again_after_its_end_keeps_its_rate(stage: Stage) -> None:
    fleet = online_fleet(stage, 1, Telemetry(EVERY_S))
    fleet.begin_telemetry()
    fleet.end_telemetry()
    fleet.begin_telemetry()
    stage.time.advance(3 * EVERY_S)
    assert len(reports(stage)) == 3


def test_fleet_without_telemetry_reports_nothing(stage: Stage) -> None:
    fleet = online_fleet(stage, 1)
    fleet.begin_telemetry()
    fleet.end_telemetry()
    stage.time.advance(5 * EVERY_S)
    assert reports(stage) == []


# -- drain


async def test_drain_waits_until_every_online_device_is_acknowledged(stage: Stage) -> None:
    fleets = {"a": online_fleet(stage, 2), "b": Fleet("b", [stage.online("other")], stage.scheduler)}
    fleets["a"].drivers["d1"].report({}, qos=1)
    fleets["b"].drivers["other"].report({}, qos=1)
    waiting = asyncio.ensure_future(drain(fleets, 5.0))
    await turns()
    stage.engine.links[1].acknowledge()
    await turns()
    assert not waiting.done()
    stage.engine.links[2].acknowledge()
    await waiting


async def test_drain_does_not_wait_for_devices_that_are_offline(stage: Stage) -> None:
    fleet = online_fleet(stage, 2)
    fleet.drivers["d0"].report({}, qos=1)
    fleet.drivers["d0"].stop()
    began = asyncio.get_running_loop().time()
    await drain({"cars": fleet}, 5.0)
    assert asyncio.get_running_loop().time() - began < 1.0


async def test_drain_gives_up_in_time(stage: Stage) -> None:
    fleet = online_fleet(stage, 1)
    fleet.drivers["d0"].report({}, qos=1)
    await drain({"cars": fleet}, 0.05)
    assert fleet.drivers["d0"].owes
