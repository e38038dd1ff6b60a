"""What a device does not send because its platform would not take it, on memory links."""

import pytest

from tests.support.stage import Stage, body
from wire.mqtt import Properties

REPORTS = "$oc/devices/d1/sys/properties/report"


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.mark.parametrize(("qos", "seq"), [(0, None), (1, 2)])
def test_report_over_the_platforms_maximum_packet_size_is_dropped_and_journalled(
    stage: Stage, qos: int, seq: int | None
) -> None:
    driver = stage.online()
    link, before = stage.engine.last, len(stage.engine.last.sent)
    driver.outbox.obey(Properties(maximum_packet_size=200))
    driver.report({"padding": "." * 200}, qos=qos)
    driver.report({"number": 1}, qos=qos)
    (sent,) = link.sent[before:]
    assert body(sent)["services"][0]["properties"] == {"number": 1}
    (dropped,) = stage.of_kind("dropped")
    assert (dropped["topic"], dropped["seq"], dropped["reason"]) == (REPORTS, seq, "too_large")
    assert stage.crashes == []


def test_device_of_a_platform_that_takes_next_to_nothing_says_nothing(stage: Stage) -> None:
    driver = stage.driver()
    driver.outbox.obey(Properties(maximum_packet_size=20))
    driver.start()
    stage.engine.last.accept()
    assert (stage.engine.last.filters, stage.engine.last.sent) == ([], [])
    assert [one["topic"] for one in stage.of_kind("dropped")] == [
        "$oc/devices/d1/sys/commands/#",
        "$oc/devices/d1/sys/events/up",
    ]
    assert driver.online
