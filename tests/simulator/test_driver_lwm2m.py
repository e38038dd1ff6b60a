"""A device of LwM2M on memory links: what its driver does differently."""

from typing import Any

import orjson
import pytest

from simulator.device.keyring import Slot
from simulator.dialects.lwm2m import Lwm2mDialect
from simulator.driver import Driver
from tests.support.stage import Stage, body, fingerprint_of

OLD, NEW = "00112233445566778899aabbccddeeff", "ffeeddccbbaa99887766554433221100"


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.around.dialect = Lwm2mDialect({})
    return stage


def online(stage: Stage) -> Driver:
    driver = stage.driver(primary=OLD, secondary=None)
    driver.start()
    stage.engine.last.accept()
    return driver


def held(driver: Driver) -> set[str]:
    return {one.secret for one in driver.device.keyring.held}


def cloud_request(mid: int, **paras: Any) -> bytes:
    return orjson.dumps({"msgType": "cloudReq", "mid": mid, "cmd": "set_secret", "paras": paras})


def test_registration_itself_means_recovered_and_nothing_is_sent_for_it(stage: Stage) -> None:
    driver = online(stage)
    assert stage.kinds() == ["opened", "accepted", "recovered"]
    assert (stage.engine.last.sent, stage.engine.last.filters, driver.owes) == ([], [], False)


def test_attempt_proves_the_key_and_the_journal_tells_its_fingerprint(stage: Stage) -> None:
    online(stage)
    credentials: Any = stage.engine.last.credentials
    assert (credentials.endpoint, credentials.key) == ("d1", bytes.fromhex(OLD))
    assert stage.of_kind("accepted")[0]["fingerprint"] == fingerprint_of(OLD)


def test_attempt_in_the_clear_tells_no_slot_and_no_fingerprint(stage: Stage) -> None:
    stage.around.dialect = Lwm2mDialect({}, shows_secret=False)
    online(stage)
    for kind in ("opened", "accepted"):
        (record,) = stage.of_kind(kind)
        assert (record["slot"], record["fingerprint"]) == (None, None)


def test_secret_that_a_command_hands_over_is_proved_at_the_next_handshake(stage: Stage) -> None:
    driver = online(stage)
    stage.engine.last.deliver("19/1/0", cloud_request(5, secret_type="PRIMARY", secret=NEW, seq=1))
    answer = body(stage.engine.last.sent[-1])
    assert (answer["msgType"], answer["mid"], answer["errcode"]) == ("deviceRsp", 5, 0)
    assert held(driver) == {OLD, NEW}
    driver.cut("told to reconnect")
    stage.time.advance(1)
    stage.time.advance(20)
    credentials: Any = stage.engine.last.credentials
    assert credentials.key == bytes.fromhex(NEW)


def test_secret_that_can_be_no_key_is_not_taken(stage: Stage) -> None:
    driver = online(stage)
    stage.engine.last.deliver("19/1/0", cloud_request(5, secret_type="PRIMARY", secret="not hexadecimal"))
    assert body(stage.engine.last.sent[-1])["errcode"] == 1
    assert held(driver) == {OLD}
    assert stage.crashes == []


def test_report_is_numbered_for_the_books(stage: Stage) -> None:
    driver = online(stage)
    driver.report({"number": 1}, qos=1)
    report = body(stage.engine.last.sent[-1])
    assert (report["msgType"], report["seq"]) == ("deviceReq", 1)
    assert stage.engine.last.sent[-1].topic == "19/0/0"


def test_sleep_is_journalled(stage: Stage) -> None:
    driver = online(stage)
    driver.power_saving(on=True)
    driver.power_saving(on=False)
    assert stage.kinds()[-2:] == ["asleep", "awake"]


def test_secret_of_the_other_slot_is_held_and_never_presented(stage: Stage) -> None:
    driver = online(stage)
    driver.device.keyring.fallback = type(driver.device.keyring.fallback).PRIMARY_ONLY
    driver.issue(Slot.SECONDARY, NEW)
    driver.cut("told to reconnect")
    stage.time.advance(30)
    credentials: Any = stage.engine.last.credentials
    assert credentials.key == bytes.fromhex(OLD)
