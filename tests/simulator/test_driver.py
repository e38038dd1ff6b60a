"""One device in the world, on memory links and virtual time: on and off, the network, stale news, and the guard."""

from collections.abc import Callable

import pytest

from simulator.device.events import Accepted, Cause, LinkLost, Refused, Unreachable
from simulator.device.lifecycle import State
from simulator.device.profiles import PROFILES
from simulator.driver import Driver
from tests.support.stage import WAIT_S, Stage

HALTING = PROFILES["huawei-java"]


@pytest.fixture
def stage() -> Stage:
    return Stage()


# -- the network


def test_without_a_network_nothing_is_opened_and_the_device_tries_again(stage: Stage) -> None:
    stage.around.network_up = False
    driver = stage.driver()
    driver.start()
    assert driver.device.state is State.CONNECTING  # the news comes later, as a link's would
    stage.time.advance()
    assert stage.engine.links == []
    assert [record["reason"] for record in stage.of_kind("unreachable")] == ["network down"]
    stage.around.network_up = True
    stage.time.advance(WAIT_S + 1)
    stage.engine.last.accept()
    assert driver.online


def test_cut_device_comes_back_after_its_wait(stage: Stage) -> None:
    driver = stage.online()
    driver.cut("network down")
    stage.time.advance()
    assert driver.device.state is State.WAITING
    assert [record["reason"] for record in stage.of_kind("lost")] == ["network down"]
    stage.time.advance(WAIT_S)
    stage.engine.last.accept()
    assert driver.online


def test_cut_of_a_device_without_a_link_changes_nothing(stage: Stage) -> None:
    driver = stage.driver()
    driver.cut("network down")
    stage.time.advance()
    assert driver.device.state is State.IDLE
    assert stage.records == []


# -- on and off


def connecting(stage: Stage) -> Driver:
    driver = stage.driver(profile=HALTING)
    driver.start()
    return driver


def waiting(stage: Stage) -> Driver:
    driver = stage.online()
    stage.engine.last.vanish()
    return driver


def locked_out(stage: Stage) -> Driver:
    driver = stage.driver(secondary=None)
    driver.start()
    stage.engine.last.refuse()
    return driver


def halted(stage: Stage) -> Driver:
    driver = connecting(stage)
    stage.engine.last.refuse()
    return driver


INTO: dict[State, Callable[[Stage], Driver]] = {
    State.IDLE: Stage.driver,
    State.CONNECTING: connecting,
    State.ONLINE: Stage.online,
    State.WAITING: waiting,
    State.LOCKED_OUT: locked_out,
    State.HALTED: halted,
}


@pytest.mark.parametrize("state", INTO)
def test_device_can_be_stopped_in_every_state_and_started_again(stage: Stage, state: State) -> None:
    driver = INTO[state](stage)
    assert driver.device.state is state
    driver.stop()
    driver.stop()
    assert driver.device.state is State.STOPPED
    assert [record["state"] for record in stage.of_kind("state")][-1:] == ["stopped"]
    assert [record["state"] for record in stage.of_kind("state")].count("stopped") == 1
    assert stage.engine.open_links == 0
    opened = len(stage.engine.links)
    stage.time.advance(10 * WAIT_S)
    assert len(stage.engine.links) == opened  # its timer is void
    driver.start()
    stage.engine.last.accept()
    assert driver.online
    assert stage.crashes == []


def test_starting_a_device_that_is_on_changes_nothing(stage: Stage) -> None:
    driver = stage.online()
    driver.start()
    assert len(stage.engine.links) == 1


@pytest.mark.parametrize("news", [Accepted(1), Refused(1, Cause.CREDENTIAL, 4), Unreachable(1, "x"), LinkLost(1, "x")])
def test_news_of_an_older_attempt_is_dropped(stage: Stage, news: Accepted | Refused | Unreachable | LinkLost) -> None:
    driver = stage.driver()
    driver.start()
    old = stage.engine.last
    old.vanish()
    stage.time.advance(WAIT_S + 1)
    stage.engine.last.accept()
    before = list(stage.records)
    old.tell(news)
    assert driver.online
    assert stage.records == before


def test_news_after_the_stop_is_dropped(stage: Stage) -> None:
    driver = connecting(stage)
    driver.stop()
    before = list(stage.records)
    stage.engine.last.tell(Accepted(1))
    assert driver.device.state is State.STOPPED
    assert stage.records == before


# -- the guard


def test_crash_of_one_device_is_told_and_the_others_live(stage: Stage) -> None:
    broken, sound = stage.driver("broken"), stage.driver("sound")
    broken.device.keyring.held = ()
    broken.start()
    sound.start()
    stage.engine.last.accept()
    assert sound.online
    ((device_id, error),) = stage.crashes
    assert device_id == "broken"
    assert isinstance(error, AssertionError)


def test_crash_in_a_timer_leaves_the_other_timers_alone(stage: Stage) -> None:
    broken, sound = stage.driver("broken"), stage.driver("sound")
    for driver in (broken, sound):
        driver.start()
        stage.engine.last.vanish()
    broken.device.keyring.held = ()
    stage.time.advance(WAIT_S + 1)
    assert [device_id for device_id, _ in stage.crashes] == ["broken"]
    assert stage.engine.last.credentials.username == "sound"


def test_link_event_that_the_table_does_not_know_is_a_crash_of_that_device_alone(stage: Stage) -> None:
    driver = stage.online()
    stage.engine.last.tell(Accepted(driver.device.attempt))
    assert [device_id for device_id, _ in stage.crashes] == ["d1"]
