"""What one device says and is told, on memory links: connect events, telemetry, commands, and no secret anywhere."""

import re
from typing import Any

import orjson
import pytest

from simulator.device.keyring import Slot
from simulator.device.profiles import PROFILES
from tests.support.stage import (
    PRIMARY,
    SECONDARY,
    WAIT_S,
    Stage,
    body,
    command,
    fingerprint_of,
    password_of,
    set_secret,
)

CANARY = "canary-7f3a91"


@pytest.fixture
def stage() -> Stage:
    return Stage()


# -- the connect event


def test_accepted_device_subscribes_and_publishes_its_connect_event(stage: Stage) -> None:
    stage.driver().start()
    link = stage.engine.last
    link.accept()
    assert link.filters == [("$oc/devices/d1/sys/commands/#", 1)]
    (publish,) = link.sent
    assert (publish.topic, publish.qos) == ("$oc/devices/d1/sys/events/up", 1)
    assert body(publish) == {
        "object_device_id": "d1",
        "seq": 1,
        "services": [
            {
                "service_id": "$log",
                "event_type": "log_report",
                "event_time": "20250101T103000Z",
                "paras": {
                    "timestamp": "1735727400000",
                    "type": "DEVICE_STATUS",
                    "content": "connect complete",
                },
            }
        ],
    }


def test_device_of_a_profile_that_does_not_subscribe_only_publishes(stage: Stage) -> None:
    stage.driver(profile=PROFILES["huawei-c"]).start()
    stage.engine.last.accept()
    assert stage.engine.last.filters == []
    assert len(stage.engine.last.sent) == 1


def test_acknowledged_connect_event_means_recovered_exactly_once(stage: Stage) -> None:
    stage.driver().start()
    stage.engine.last.accept()
    assert stage.of_kind("recovered") == []
    stage.engine.last.acknowledge()
    stage.engine.last.acknowledge()
    assert [record["attempt"] for record in stage.of_kind("recovered")] == [1]
    assert [(record["first"], record["last"]) for record in stage.of_kind("acked")] == [(1, 1)]


def test_every_accepted_link_has_its_own_connect_event(stage: Stage) -> None:
    stage.online()
    for _ in range(2):
        stage.engine.last.vanish()
        stage.time.advance(WAIT_S + 1)
        stage.engine.last.accept()
        stage.engine.last.acknowledge()
    assert [record["attempt"] for record in stage.of_kind("recovered")] == [1, 2, 3]
    assert [body(link.sent[0])["seq"] for link in stage.engine.links] == [1, 2, 3]


def test_connect_event_of_an_older_link_does_not_mean_recovered(stage: Stage) -> None:
    stage.driver().start()
    stage.engine.last.accept()
    stage.engine.last.vanish()
    stage.time.advance(WAIT_S + 1)
    link = stage.engine.last
    link.accept()
    old, new = link.sent
    assert (body(old)["seq"], body(new)["seq"]) == (1, 2)
    link.acknowledge(old)
    assert stage.of_kind("recovered") == []
    link.acknowledge(new)
    assert [record["attempt"] for record in stage.of_kind("recovered")] == [2]


# -- telemetry


def test_report_with_qos_1_is_numbered_and_owed_until_it_is_acknowledged(stage: Stage) -> None:
    driver = stage.online()
    driver.report({"number": 7}, qos=1)
    (publish,) = stage.engine.last.sent[1:]
    assert publish.topic == "$oc/devices/d1/sys/properties/report"
    assert body(publish) == {"seq": 2, "services": [{"service_id": "keyturn", "properties": {"number": 7}}]}
    assert driver.owes
    stage.engine.last.acknowledge(publish)
    assert not driver.owes


def test_report_with_qos_0_has_no_number_and_is_not_owed(stage: Stage) -> None:
    driver = stage.online()
    driver.report({"number": 7}, qos=0)
    publish = stage.engine.last.sent[-1]
    assert (publish.qos, "seq" in body(publish)) == (0, False)
    assert not driver.owes


@pytest.mark.parametrize("qos", [0, 1])
def test_device_that_is_not_online_reports_nothing(stage: Stage, qos: int) -> None:
    driver = stage.driver()
    driver.report({}, qos=qos)
    driver.start()
    driver.report({}, qos=qos)
    stage.engine.last.accept()
    assert [body(publish)["seq"] for publish in stage.engine.last.sent] == [1]


def test_unacknowledged_report_survives_a_stop_and_is_sent_by_the_next_link(stage: Stage) -> None:
    driver = stage.online()
    driver.report({"number": 7}, qos=1)
    driver.stop()
    assert not driver.owes
    driver.start()
    stage.engine.last.accept()
    assert [body(publish)["seq"] for publish in stage.engine.last.sent] == [2, 3]
    assert [(record["first"], record["last"]) for record in stage.of_kind("sent")] == [(1, 1), (2, 2), (2, 3)]


# -- commands


def test_secret_from_a_command_is_staged_answered_and_presented_next(stage: Stage) -> None:
    driver = stage.online()
    answer = command(stage.engine.last, set_secret("new-secret", seq=41))
    assert (answer["result_code"], answer["response_name"], answer["paras"]) == (0, "set_secret_response", {"seq": 41})
    assert driver.online  # it goes on with the session it has
    assert stage.of_kind("received")[0].items() >= {"request_id": "r1", "name": "set_secret", "seq": 41}.items()
    assert (
        stage.of_kind("issued")[0].items() >= {"slot": "primary", "fingerprint": fingerprint_of("new-secret")}.items()
    )

    stage.engine.last.vanish()
    stage.time.advance(WAIT_S + 1)
    assert stage.engine.last.credentials.password == password_of("new-secret")
    assert stage.of_kind("opened")[-1]["staged"]

    stage.engine.last.accept()
    stage.engine.last.vanish()
    stage.time.advance(WAIT_S + 1)
    assert stage.engine.last.credentials.password == password_of("new-secret")
    assert not stage.of_kind("opened")[-1]["staged"]


def test_device_falls_back_from_a_staged_secret_that_is_refused(stage: Stage) -> None:
    stage.online()
    command(stage.engine.last, set_secret("too-early"))
    stage.engine.last.vanish()
    stage.time.advance(WAIT_S + 1)
    stage.engine.last.refuse()
    assert stage.engine.last.credentials.password == password_of(PRIMARY)


@pytest.mark.parametrize("secret_type", ["SECONDARY", "secondary"])
def test_secret_for_the_other_slot_goes_there(stage: Stage, secret_type: str) -> None:
    stage.online()
    command(stage.engine.last, set_secret("new-secret", secret_type))
    assert [record["slot"] for record in stage.of_kind("issued")] == ["secondary"]


def test_other_command_is_answered_and_changes_nothing(stage: Stage) -> None:
    driver = stage.online()
    before = driver.device.keyring.held
    answer = command(stage.engine.last, {"command_name": "blink", "paras": {"seq": 5}, "service_id": "lamp"})
    assert (answer["result_code"], answer["response_name"], answer["paras"]) == (0, "blink_response", {"seq": 5})
    assert driver.device.keyring.held == before
    assert stage.of_kind("issued") == []


@pytest.mark.parametrize("paras", [None, {}], ids=repr)
def test_command_without_parameters_is_answered(stage: Stage, paras: object) -> None:
    stage.online()
    assert command(stage.engine.last, {"command_name": "blink", "paras": paras})["result_code"] == 0


MALFORMED: dict[str, Any] = {
    "no JSON": b"{",
    "nothing": b"",
    "not UTF-8": b"\xff\xfe",
    "a list": b"[]",
    "a string": b'"set_secret"',
    "null": b"null",
    "no name": {"paras": {}},
    "a name that is no string": {"command_name": ["set_secret"], "paras": {}},
    "parameters that are a list": {"command_name": "blink", "paras": [1]},
    "parameters that are a string": {"command_name": "blink", "paras": "seq"},
    "set_secret without parameters": {"command_name": "set_secret"},
    "set_secret with a list": {"command_name": "set_secret", "paras": [1]},
    "set_secret without a secret": {"command_name": "set_secret", "paras": {"secret_type": "PRIMARY"}},
    "set_secret without a type": {"command_name": "set_secret", "paras": {"secret": CANARY}},
    "a secret that is a number": set_secret(12345678),
    "a secret that is null": set_secret(None),
    "a slot that does not exist": set_secret(CANARY, "TERTIARY"),
    "a slot that is no string": set_secret(CANARY, 1),
}


@pytest.mark.parametrize("payload", MALFORMED.values(), ids=MALFORMED)
def test_malformed_command_is_answered_with_1_and_changes_nothing(stage: Stage, payload: Any) -> None:
    driver = stage.online()
    before = driver.device.keyring.held
    assert command(stage.engine.last, payload)["result_code"] == 1
    assert driver.device.keyring.held == before
    assert driver.online
    assert stage.of_kind("issued") == []
    assert stage.crashes == []


@pytest.mark.parametrize(
    "topic",
    [
        "$oc/devices/d2/sys/commands/request_id=r1",
        "$oc/devices/d1/sys/commands/response/request_id=r1",
        "$oc/devices/d1/sys/messages/down",
        "x",
    ],
)
def test_message_that_is_no_command_is_ignored(stage: Stage, topic: str) -> None:
    stage.online()
    sent = len(stage.engine.last.sent)
    stage.engine.last.deliver(topic, orjson.dumps(set_secret(CANARY)))
    assert len(stage.engine.last.sent) == sent
    assert stage.of_kind("received") == stage.of_kind("issued") == []


# -- secrecy


def test_journal_shows_fingerprints_and_never_a_secret_or_a_password(stage: Stage) -> None:
    secrets = [f"{CANARY}-{number}" for number in range(4)]
    driver = stage.driver(primary=secrets[0], secondary=secrets[1])
    driver.start()
    stage.engine.last.refuse()
    stage.engine.last.accept()
    stage.engine.last.acknowledge()
    command(stage.engine.last, set_secret(secrets[2]))
    command(stage.engine.last, set_secret(secrets[3], "TERTIARY"))
    driver.issue(Slot.SECONDARY, secrets[3])
    for _ in range(3):
        stage.engine.last.vanish()
        stage.time.advance(WAIT_S + 1)
    for _ in range(4):
        stage.engine.last.refuse()
    driver.stop()
    written = orjson.dumps(stage.records).decode()
    assert {"opened", "refused", "accepted", "received", "issued", "lost", "unreachable", "state"} <= set(stage.kinds())
    assert CANARY not in written
    assert not re.search(r"[0-9a-f]{64}", written)
    for secret in secrets:
        assert fingerprint_of(secret) in written


def test_nothing_that_a_traceback_may_show_holds_a_secret(stage: Stage) -> None:
    driver = stage.driver(primary=CANARY, secondary=SECONDARY)
    driver.start()
    driver.issue(Slot.PRIMARY, f"{CANARY}-2")
    link = stage.engine.last
    shown = repr((driver, driver.device, driver.device.keyring, link.credentials, link.outbox, driver.around))
    assert CANARY not in shown
    assert link.credentials.password not in shown
