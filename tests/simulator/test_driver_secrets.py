"""Which secret a device presents, and how it signs with it, on memory links and virtual time."""

from datetime import timedelta

import pytest

from simulator.device.events import Cause
from simulator.device.keyring import Slot
from simulator.device.lifecycle import State
from simulator.device.profiles import PROFILES
from simulator.dialects.mqtt import MqttDialect
from tests.support.stage import PRIMARY, SECONDARY, WAIT_S, Stage, fingerprint_of, password_of

HOUR_S = 3600.0
SIGNING_ONCE = PROFILES["huawei-c"]


@pytest.fixture
def stage() -> Stage:
    return Stage()


# -- secrets


def test_device_presents_its_primary_secret_first(stage: Stage) -> None:
    stage.driver("d1").start()
    assert stage.engine.last.credentials.username == "d1"
    assert stage.engine.last.credentials.client_id == "d1_0_0_2025010110"
    assert stage.engine.last.credentials.password == password_of(PRIMARY)
    (opened,) = stage.of_kind("opened")
    assert (opened["attempt"], opened["slot"], opened["staged"]) == (1, "primary", False)
    assert opened["fingerprint"] == fingerprint_of(PRIMARY)


def test_refused_device_falls_back_to_its_secondary_secret_at_once(stage: Stage) -> None:
    driver = stage.driver()
    driver.start()
    stage.engine.last.refuse()
    assert stage.engine.last.attempt == 2
    assert stage.engine.last.credentials.password == password_of(SECONDARY)
    stage.engine.last.accept()
    assert driver.online
    assert stage.kinds() == ["opened", "refused", "opened", "accepted", "sent"]
    refused, accepted = stage.of_kind("refused")[0], stage.of_kind("accepted")[0]
    assert (refused["slot"], refused["fingerprint"]) == ("primary", fingerprint_of(PRIMARY))
    assert (refused["cause"], refused["code"]) == (Cause.CREDENTIAL, 4)
    assert (accepted["slot"], accepted["fingerprint"]) == ("secondary", fingerprint_of(SECONDARY))


def test_device_whose_every_secret_is_refused_is_locked_out_and_tries_again(stage: Stage) -> None:
    driver = stage.driver()
    driver.start()
    stage.engine.last.refuse()
    stage.engine.last.refuse()
    assert driver.device.state is State.LOCKED_OUT
    assert [record["state"] for record in stage.of_kind("state")] == ["locked_out"]
    stage.time.advance(WAIT_S + 1)
    assert stage.engine.last.attempt == 3
    assert stage.engine.last.credentials.password == password_of(PRIMARY)


def test_secret_issued_to_a_locked_out_device_is_presented_at_once(stage: Stage) -> None:
    driver = stage.driver()
    driver.start()
    stage.engine.last.refuse()
    stage.engine.last.refuse()
    driver.issue(Slot.PRIMARY, "new-secret")
    assert stage.engine.last.credentials.password == password_of("new-secret")
    assert stage.of_kind("opened")[-1]["staged"]
    assert stage.of_kind("issued") == [
        stage.of_kind("issued")[0] | {"device": "d1", "slot": "primary", "fingerprint": fingerprint_of("new-secret")}
    ]


def test_refusal_that_blames_no_secret_keeps_the_secret(stage: Stage) -> None:
    driver = stage.driver()
    driver.start()
    stage.engine.last.refuse(Cause.NOT_ALLOWED, 5)
    assert driver.device.state is State.WAITING
    stage.time.advance(WAIT_S + 1)
    assert stage.engine.last.credentials.password == password_of(PRIMARY)


# -- signing


def test_password_changes_with_the_hour(stage: Stage) -> None:
    stage.driver().start()
    stage.engine.last.vanish()
    stage.time.advance(HOUR_S)
    assert stage.engine.last.credentials.client_id == "d1_0_0_2025010110"  # the first retry was within the hour
    stage.engine.last.vanish()
    stage.time.advance(WAIT_S + 1)
    assert stage.engine.last.credentials.client_id == "d1_0_0_2025010111"
    assert stage.engine.last.credentials.password == password_of(PRIMARY, "2025010111")


def test_device_that_signs_once_keeps_client_id_and_password_for_hours_while_others_change(stage: Stage) -> None:
    stage.driver("keeps", profile=SIGNING_ONCE).start()
    stage.driver("signs").start()
    first = {link.credentials.username: link.credentials for link in stage.engine.links}
    for link in list(stage.engine.links):
        link.accept()
    stage.time.advance(3 * HOUR_S)
    for link in list(stage.engine.links):
        link.vanish()
    stage.time.advance(60)
    later = {link.credentials.username: link.credentials for link in stage.engine.links[2:]}
    assert later["keeps"] == first["keeps"]
    assert later["signs"].client_id == "signs_0_0_2025010113"
    assert later["signs"].password == password_of(PRIMARY, "2025010113")


def test_device_that_signs_once_signs_again_for_another_secret(stage: Stage) -> None:
    driver = stage.driver(profile=SIGNING_ONCE)
    driver.start()
    stage.time.advance(HOUR_S)
    driver.issue(Slot.PRIMARY, "new-secret")
    stage.engine.last.vanish()
    stage.time.advance(60)
    assert stage.engine.last.credentials.password == password_of("new-secret", "2025010111")


@pytest.mark.parametrize(
    ("skew", "hour"),
    [(timedelta(hours=-3), "2025010107"), (timedelta(days=365), "2026010110"), (timedelta(minutes=29), "2025010110")],
    ids=str,
)
def test_skewed_clock_shows_in_what_is_signed(stage: Stage, skew: timedelta, hour: str) -> None:
    stage.around.clock_skew = skew
    stage.driver().start()
    assert stage.engine.last.credentials.client_id == f"d1_0_0_{hour}"
    assert stage.engine.last.credentials.password == password_of(PRIMARY, hour)


def test_fleet_may_override_the_sign_of_a_profile(stage: Stage) -> None:
    asks_for_a_check = PROFILES["huawei-python"]
    stage.driver("own", profile=asks_for_a_check).start()
    assert stage.engine.last.credentials.client_id == "own_0_1_2025010110"
    stage.around.dialect = MqttDialect(sign=0)
    stage.driver("told", profile=asks_for_a_check).start()
    assert stage.engine.last.credentials.client_id == "told_0_0_2025010110"
