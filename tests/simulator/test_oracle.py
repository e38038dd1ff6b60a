"""The oracle's words, each by the smallest story that shows it."""

import pytest

from simulator.expectations import parse
from simulator.measure import Measures
from simulator.oracle import Oracle
from tests.simulator.stories import NEW, OLD, OTHER, OTHER_NEW, Story


def measured(story: Story, text: str) -> float | None:
    return Measures(Oracle().feed_all(story.records))(parse(text)).value


def test_device_is_connected_and_recovered_after_its_connect_event_was_acknowledged() -> None:
    story = Story().device().online(1.0)
    assert measured(story, "connected == 1") == 1
    assert measured(story, "recovered == 1") == 1
    assert measured(story, "slot.primary == 1") == 1
    assert measured(story, "slot.secondary == 1") == 0


def test_accepted_device_has_not_recovered_before_the_acknowledgement() -> None:
    story = Story().device().online(1.0)
    story.records.pop()
    assert measured(story, "connected == 1") == 1
    assert measured(story, "recovered == 1") == 0
    assert measured(story, "unsettled == 0") == 1


def test_outage_is_from_the_lost_link_to_the_recovery_and_belongs_to_the_step_of_the_loss() -> None:
    story = Story().device().step(0.5, "up", "start").action(0.5, "up").online(1.0)
    story.step(2.0, "rotate").action(2.0, "rotate").lost(2.1).refused(2.2, attempt=2)
    story.step(2.4, "later").action(2.4, "later").online(2.6, attempt=3, slot="secondary", secret=OTHER)
    assert measured(story, "rotate: outage.max == 0s") == pytest.approx(0.51)
    assert measured(story, "later: outage.count == 0") == 0
    assert measured(story, "outage.max == 0s") == pytest.approx(0.51)


def test_outage_that_never_ended_counts_for_as_long_as_it_was_seen() -> None:
    story = Story().device().online(1.0).step(2.0, "rotate").action(2.0, "rotate").lost(2.0).end(9.0)
    story.at(9.5, "state", device="d1", state="stopped").at(10.0, "ended", interrupted=False, unreachable=None)
    assert measured(story, "rotate: outage.max == 0s") == pytest.approx(7.0)
    assert measured(story, "outage.max == 0s") == pytest.approx(7.0)
    assert measured(story, "outage.count == 0") == 1


def test_outage_of_a_device_that_is_switched_off_lasted_until_then() -> None:
    story = Story().device().online(1.0).step(2.0, "rotate").action(2.0, "rotate").lost(2.0)
    story.step(5.0, "off", "stop").action(5.0, "off").at(5.0, "state", device="d1", state="stopped").end(9.0)
    assert measured(story, "rotate: outage.max == 0s") == pytest.approx(3.0)
    assert measured(story, "outage.count == 0") == 1


def test_unreachable_attempts_after_a_loss_do_not_restart_the_outage() -> None:
    story = Story().device().online(1.0).lost(2.0)
    story.at(3.0, "unreachable", device="d1", attempt=2, reason="x").online(4.0, attempt=3)
    assert measured(story, "outage.max == 0s") == pytest.approx(2.01)
    assert measured(story, "unreachable == 0") == 1


def test_connect_latency_counts_from_the_intended_time() -> None:
    story = Story().device().step(1.0, "up", "start").action(1.0, "up", intended=1.0)
    story.online(3.5, opened=3.4)
    assert measured(story, "up: connect_latency.max == 0s") == pytest.approx(2.5)


def test_connect_latency_of_a_later_attempt_counts_from_its_opening() -> None:
    story = Story().device().step(1.0, "up", "start").action(1.0, "up", intended=1.0).online(1.2)
    story.lost(5.0).online(7.0, attempt=2, opened=6.9)
    assert measured(story, "up: connect_latency.min == 0s") == pytest.approx(0.1)


class TestStranded:
    def test_a_device_whose_secrets_were_all_replaced(self) -> None:
        story = Story().device().online(1.0).reset(2.0, "primary", NEW)
        assert measured(story, "stranded == 0") == 0
        story.reset(3.0, "secondary", OTHER_NEW)
        assert measured(story, "stranded == 0") == 1

    def test_a_delivered_secret_ends_it(self) -> None:
        story = Story().device(secondary=None).reset(2.0, "primary", NEW)
        assert measured(story, "stranded == 0") == 1
        story.at(3.0, "issued", device="d1", slot="primary", fingerprint=NEW)
        assert measured(story, "stranded == 0") == 0

    def test_a_secret_that_the_fallback_never_presents_does_not_help(self) -> None:
        story = Story().device(presents=["primary"]).reset(2.0, "primary", NEW)
        assert measured(story, "stranded == 0") == 1

    def test_while_a_reply_is_awaited_either_secret_may_be_in_force(self) -> None:
        story = Story().device(secondary=None)
        story.at(2.0, "reset", step="s", device="d1", slot="primary", fingerprint=NEW, forced=True, state="sent")
        assert measured(story, "stranded == 0") == 0

    def test_the_staged_secret_replaces_the_current_one_only_once_accepted(self) -> None:
        story = Story().device(secondary=None)
        story.at(1.0, "issued", device="d1", slot="primary", fingerprint=NEW)
        story.online(2.0, secret=OLD)
        oracle = Oracle().feed_all(story.records)
        assert {secret for _, secret, _ in oracle.devices["d1"].held} == {OLD, NEW}
        story.reset(3.0, "primary", NEW).lost(3.0).online(4.0, attempt=2, secret=NEW)
        oracle = Oracle().feed_all(story.records)
        assert {secret for _, secret, _ in oracle.devices["d1"].held} == {NEW}

    def test_secret_on_the_wire_while_a_newer_one_was_delivered_is_held_once_accepted(self) -> None:
        story = Story().device(secondary=None)
        for secret in (NEW, OTHER_NEW):
            story.at(1.0, "issued", device="d1", slot="primary", fingerprint=secret)
        story.online(2.0, secret=NEW)
        held = Oracle().feed_all(story.records).devices["d1"].held
        assert held == [("primary", OTHER_NEW, True), ("primary", NEW, False)]


class TestOldSecretAccepted:
    def test_attempt_started_after_the_reply_on_the_retired_secret(self) -> None:
        story = Story().device().reset(2.0, "primary", NEW).online(3.0, secret=OLD)
        assert measured(story, "old_secret_accepted == 0") == 1

    def test_attempt_started_before_the_reply_may_be_judged_by_either(self) -> None:
        story = Story().device().reset(2.0, "primary", NEW).online(2.1, secret=OLD, opened=2.001)
        assert measured(story, "old_secret_accepted == 0") == 0

    def test_secret_that_is_current_again_is_not_old(self) -> None:
        story = Story().device().reset(2.0, "primary", NEW).reset(3.0, "primary", OLD).online(4.0, secret=OLD)
        assert measured(story, "old_secret_accepted == 0") == 0

    def test_secret_that_stays_valid_in_the_other_slot_is_not_retired(self) -> None:
        story = Story().device(secondary=OLD, platform_secondary=OLD).reset(2.0, "primary", NEW).online(3.0, secret=OLD)
        assert measured(story, "old_secret_accepted == 0") == 0


def test_halted_device_gave_up_unless_it_is_stranded() -> None:
    story = Story().device().at(1.0, "state", device="d1", state="halted")
    assert measured(story, "gave_up == 0") == 1
    story.reset(2.0, "primary", NEW).reset(3.0, "secondary", OTHER_NEW)
    assert measured(story, "gave_up == 0") == 0
    assert measured(story, "stranded == 0") == 1


def test_locked_out_lasts_through_its_retries_until_a_secret_comes() -> None:
    story = Story().device().at(1.0, "state", device="d1", state="locked_out").refused(2.0, attempt=2)
    assert measured(story, "locked_out == 0") == 1
    story.at(3.0, "issued", device="d1", slot="primary", fingerprint=NEW)
    assert measured(story, "locked_out == 0") == 0


def test_step_counts_only_what_happened_in_its_window() -> None:
    story = Story().device().step(0.5, "up", "start").action(0.5, "up").online(1.0)
    story.step(2.0, "rotate").action(2.0, "rotate").lost(2.1).refused(2.2, attempt=2).online(2.3, attempt=3)
    assert measured(story, "up: connects == 0") == 1
    assert measured(story, "rotate: connects == 0") == 2
    assert measured(story, "rotate: refused.credential == 0") == 1
    assert measured(story, "rotate: refused.config == 0") == 0
    assert measured(story, "connects == 0") == 3
    assert measured(story, "connects.peak_per_second == 0") == 2


def test_step_knows_how_a_device_stood_when_its_window_closed() -> None:
    story = Story().device().step(0.5, "up", "start").action(0.5, "up").online(1.0)
    story.step(2.0, "rotate").action(2.0, "rotate").lost(2.1)
    assert measured(story, "up: connected == 0") == 1
    assert measured(story, "rotate: connected == 0") == 0


def test_recovery_of_an_older_session_is_none_in_the_step() -> None:
    story = Story().device().step(0.5, "up", "start").action(0.5, "up").online(1.0)
    story.records.pop()
    story.step(2.0, "rotate").action(2.0, "rotate").at(2.5, "recovered", device="d1", attempt=1)
    assert measured(story, "rotate: recovered == 0") == 0
    assert measured(story, "recovered == 0") == 1


def test_device_that_the_step_has_not_touched_yet_is_judged_as_it_stands() -> None:
    story = Story().device("d1").device("d2").online(1.0).online(1.0, device="d2")
    story.step(2.0, "rotate").action(2.0, "rotate").lost(2.1)
    measures = Measures(Oracle().feed_all(story.records))
    connected = measures(parse("rotate: connected == 100%"))
    assert (connected.value, connected.total, connected.worst) == (1, 2, ("d1",))
    assert measures(parse("rotate: recovered == 100%")).value == 0


def test_what_follows_the_settled_record_does_not_count() -> None:
    story = Story().device().step(0.5, "up", "start").action(0.5, "up").online(1.0).end(5.0)
    story.at(5.1, "state", device="d1", state="stopped").refused(5.2, attempt=2)
    assert measured(story, "refused == 0") == 0
    assert measured(story, "connected == 1") == 1
    assert measured(story, "up: connected == 1") == 1


def test_only_the_named_fleet_is_measured() -> None:
    story = Story().device("d1").device("v1", fleet="valves").online(1.0, device="v1")
    assert measured(story, "connected == 1 of valves") == 1
    assert measured(story, "connected == 1 of meters") == 0


def test_late_generator_makes_times_invalid_and_leaves_counts() -> None:
    story = Story().device().online(1.0).lost(2.0).online(3.0, attempt=2).lag(3.0, [0.4] * 20)
    measures = Measures(Oracle().feed_all(story.records), lag_limit_s=0.25)
    assert measures(parse("outage.max < 5s")).invalid == "generator-limited: loop lag p99 400 ms"
    assert measures(parse("connects.peak_per_second == 1")).invalid
    assert measures(parse("connects == 2")).value == 2
    assert measures(parse("loop_lag.p99 < 1s")).value == 0.4


def test_lag_outside_a_step_does_not_touch_it() -> None:
    story = Story().device().lag(0.2, [0.9]).step(0.5, "up", "start").action(0.5, "up").online(1.0)
    story.lag(0.5, [0.0] * 30).end(2.0)
    measures = Measures(Oracle().feed_all(story.records), lag_limit_s=0.25)
    assert measures(parse("up: connect_latency.max < 5s")).invalid is None
    assert measures(parse("connect_latency.max < 5s")).invalid


def test_lag_while_the_fleet_is_switched_off_counts_for_nothing() -> None:
    story = Story().device().online(1.0).lost(2.0).online(3.0, attempt=2).lag(1.0, [0.0] * 40)
    story.at(3.5, "settled").lag(3.6, [0.9] * 40).at(6.0, "ended", interrupted=False, unreachable=None)
    measures = Measures(Oracle().feed_all(story.records), lag_limit_s=0.25)
    assert measures(parse("outage.max < 5s")).invalid is None
    assert measures(parse("loop_lag.max < 1s")).value == 0.0


def test_lag_that_was_not_measured_makes_times_invalid() -> None:
    story = Story().device().online(1.0).lost(2.0).online(3.0, attempt=2).end(4.0)
    measures = Measures(Oracle().feed_all(story.records), lag_limit_s=0.25)
    assert measures(parse("outage.max < 5s")).invalid == "the simulator's loop lag was not measured"


def test_short_step_is_judged_by_the_ticks_around_it() -> None:
    story = Story().device().lag(0.48, [0.9]).step(0.5, "up", "start").action(0.5, "up").online(0.51)
    story.step(0.52, "next").action(0.52, "next").end(2.0)
    measures = Measures(Oracle().feed_all(story.records), lag_limit_s=0.25)
    assert measures(parse("up: connect_latency.max < 5s")).invalid == "generator-limited: loop lag p99 900 ms"


def test_step_that_did_not_run_is_invalid() -> None:
    assert Measures(Oracle().feed_all(Story().device().records))(parse("gone: connects == 0")).invalid


@pytest.mark.parametrize(
    ("stat", "value"),
    [("p50", 2.0), ("p90", 4.0), ("p99", 4.0), ("max", 4.0), ("min", 1.0), ("mean", 2.5), ("count", 4)],
)
def test_statistics_are_values_that_were_seen(stat: str, value: float) -> None:
    from simulator.measure import statistic

    assert statistic(stat, [1.0, 2.0, 3.0, 4.0]) == value


def test_worst_devices_are_named_worst_first() -> None:
    story = Story()
    for number in range(1, 6):
        story.device(f"d{number}")
        for attempt in range(number):
            story.refused(1.0 + attempt, device=f"d{number}", attempt=attempt)
    result = Measures(Oracle().feed_all(story.records))(parse("refused_per_device.max == 0"))
    assert (result.value, result.worst) == (5, ("d5", "d4", "d3"))


def test_device_that_shows_no_secret_is_never_stranded_and_never_on_a_slot() -> None:
    story = Story().device(presents=[], secondary=None).step(1.0, "rotate").action(1.0, "rotate")
    story.at(1.1, "reset", state="answered", device="d1", step="rotate", slot="primary", fingerprint=NEW)
    story.at(2.0, "opened", device="d1", attempt=1, slot=None, fingerprint=None, staged=False)
    story.at(2.1, "accepted", device="d1", attempt=1, session_present=False, slot=None, fingerprint=None)
    oracle = Oracle().feed_all(story.records)
    (device,) = oracle.devices.values()
    assert (device.connected, device.stranded, device.slot) == (True, False, None)
    assert Measures(oracle)(parse("old_secret_accepted == 0")).value == 0


def test_device_that_is_refused_out_of_being_online_is_not_recovered_and_has_an_outage() -> None:
    story = Story().device().online(1.0)
    story.at(2.0, "refused", device="d1", attempt=1, cause="not_allowed", code="4.03", slot="primary", fingerprint=OLD)
    story.online(5.0, attempt=2)
    oracle = Oracle().feed_all(story.records[:-2])
    (device,) = oracle.devices.values()
    assert (device.connected, device.recovered, device.lost_at) == (False, False, 2.0)
    outage = Measures(Oracle().feed_all(story.records))(parse("outage.max == 0s")).value
    assert outage == pytest.approx(3.01)
