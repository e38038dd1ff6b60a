"""The books: both journals together."""

from typing import Any

import pytest

from simulator.books import Books
from simulator.expectations import parse
from simulator.measure import Measures
from simulator.oracle import Oracle
from tests.simulator.stories import Story, platform_header

Record = dict[str, Any]


def uplink(t: float, first: int, last: int, device: str = "d1", qos: int = 1) -> Record:
    return {"t": t, "kind": "uplink", "device": device, "qos": qos, "first": first, "last": last}


def session(t: float, version: int = 1, slot: str = "primary", device: str = "d1") -> Record:
    return {"t": t, "kind": "accepted", "device": device, "slot": slot, "version": version}


def reset(t: float, *, cut: bool = False, slot: str = "primary", device: str = "d1") -> Record:
    return {"t": t, "kind": "reset", "device": device, "slot": slot, "version": 2, "cut": cut}


def detached(t: float, device: str = "d1") -> Record:
    return {"t": t, "kind": "detached", "device": device, "reason": "connection_lost"}


def value(story: Story, platform: list[Record], text: str) -> float | None:
    books = Books(story.records, [platform_header(), *platform])
    return Measures(Oracle().feed_all(story.records), books)(parse(text)).value


@pytest.mark.parametrize(
    ("stat", "count"), [("sent", 4), ("lost", 1), ("unconfirmed", 1), ("duplicated", 1), ("unexplained", 1)]
)
def test_messages_balance(stat: str, count: int) -> None:
    story = Story().device().at(1.0, "sent", device="d1", first=1, last=4)
    story.at(1.1, "acked", device="d1", first=1, last=3)
    platform = [uplink(1.05, 1, 1), uplink(1.05, 3, 4), uplink(1.06, 3, 3)]
    assert value(story.end(2.0), platform, f"messages.{stat} == 0") == count


def test_dropped_message_belongs_to_when_it_was_dropped_and_is_not_in_the_balance() -> None:
    story = Story().device().at(1.0, "dropped", device="d1", seq=1, topic="t", reason="too_large")
    story.at(1.1, "dropped", device="d1", seq=None, topic="t", reason="too_large")
    assert value(story.end(2.0), [], "messages.dropped == 0") == 1
    assert value(story, [], "messages.sent == 0") == 0


def test_message_that_was_sent_twice_may_arrive_twice() -> None:
    story = Story().device().at(1.0, "sent", device="d1", first=1, last=1).at(2.0, "sent", device="d1", first=1, last=1)
    platform = [uplink(1.0, 1, 1), uplink(2.0, 1, 1)]
    assert value(story.end(3.0), platform, "messages.duplicated == 0") == 1
    assert value(story, platform, "messages.unexplained == 0") == 0
    assert value(story, platform, "messages.sent == 0") == 1


@pytest.mark.parametrize(("stat", "count"), [("sent", 3), ("queued", 2), ("lost", 1), ("duplicated", 1)])
def test_downlinks_balance(stat: str, count: int) -> None:
    story = Story().device()
    for seq in (1, 2, 2, 7, None):
        story.at(1.5, "received", device="d1", request_id="r", name="set_secret", seq=seq)
    platform = [{"t": 1.0, "kind": "downlink", "device": "d1", "seq": seq, "queued": seq > 1} for seq in (1, 2, 3)]
    unnumbered = {"t": 1.0, "kind": "downlink", "device": "d1", "queued": False}
    assert value(story.end(2.0), [*platform, unnumbered], f"downlinks.{stat} == 0") == count


def test_qos_0_is_neither_lost_nor_duplicated() -> None:
    story = Story().device().end(3.0)
    assert value(story, [uplink(1.0, 1, 1, qos=0), uplink(1.0, 1, 1, qos=0)], "messages.duplicated == 0") == 0


def test_message_belongs_to_the_step_in_which_it_was_first_sent() -> None:
    story = Story().device().step(0.5, "up", "start").action(0.5, "up").at(1.0, "sent", device="d1", first=1, last=1)
    story.step(2.0, "rotate").action(2.0, "rotate").at(2.5, "sent", device="d1", first=1, last=2).end(4.0)
    assert value(story, [], "up: messages.sent == 0") == 1
    assert value(story, [], "rotate: messages.sent == 0") == 1


class TestExposure:
    def test_session_that_lives_on_after_the_reset_of_its_slot(self) -> None:
        story = Story().device().end(10.0)
        platform = [session(1.0), reset(2.0), detached(5.0)]
        assert value(story, platform, "exposure.max == 0s") == pytest.approx(3.0)
        assert value(story, platform, "stale_sessions == 0") == 1

    def test_session_that_is_still_stale_at_the_end(self) -> None:
        story = Story().device().end(10.0)
        assert value(story, [session(1.0), reset(2.0)], "exposure.max == 0s") == pytest.approx(8.0)
        assert value(story, [session(1.0), reset(2.0)], "stale_sessions == 0") == 1

    def test_forced_reset_leaves_none(self) -> None:
        platform = [session(1.0), detached(2.0), reset(2.0, cut=True), session(3.0, version=2)]
        assert value(Story().device().end(9.0), platform, "exposure.count == 0") == 0

    def test_reset_of_the_other_slot_leaves_none(self) -> None:
        assert (
            value(Story().device().end(9.0), [session(1.0), reset(2.0, slot="secondary")], "exposure.count == 0") == 0
        )

    def test_session_on_its_products_password_is_not_stale_when_its_own_is_reset(self) -> None:
        products = {"t": 3.0, "kind": "product_reset", "product": 1, "version": 2}
        platform = [session(1.0, slot="product"), reset(2.0), products, detached(4.0)]
        assert value(Story().device().end(9.0), platform, "exposure.count == 0") == 0

    def test_restart_of_the_platform_ends_its_sessions(self) -> None:
        platform = [session(1.0), reset(2.0), platform_header(4.0, 1004.0)]
        assert value(Story().device().end(9.0), platform, "exposure.max == 0s") == pytest.approx(2.0)

    def test_registering_a_device_anew_makes_its_session_stale(self) -> None:
        anew = {"t": 2.0, "kind": "provisioned", "device": "d1", "primary": {"version": 2}, "secondary": None}
        assert value(Story().device().end(9.0), [session(1.0), anew], "stale_sessions == 0") == 1
        assert value(Story().device().end(9.0), [session(1.0, version=2), anew], "stale_sessions == 0") == 0

    def test_only_the_step_in_which_it_began_counts_it(self) -> None:
        story = (
            Story().device().step(0.5, "up", "start").action(0.5, "up").step(3.0, "rest").action(3.0, "rest").end(9.0)
        )
        assert value(story, [session(1.0), reset(2.0)], "up: exposure.count == 0") == 1
        assert value(story, [session(1.0), reset(2.0)], "rest: exposure.count == 0") == 0
        assert value(story, [session(1.0), reset(2.0)], "up: exposure.max == 0s") == pytest.approx(1.0)


def test_lost_journal_records_make_what_rests_on_them_invalid() -> None:
    story = Story().device().end(3.0)
    books = Books(story.records, [platform_header(), {"t": 1.0, "kind": "gap", "lost": 7}])
    measures = Measures(Oracle().feed_all(story.records), books)
    assert measures(parse("messages.lost == 0")).invalid == "the platform lost 7 journal records"
    story.records[-1]["platform_records_lost"] = 9
    assert Books(story.records, [platform_header()]).lost_records == 9


def test_stale_hour_is_a_misjudged_secret() -> None:
    refusals = [
        {"t": 2.0, "kind": "refused", "device": "d1", "code": 4, "reason": "stale_hour", "secret_was_right": True},
        {"t": 2.0, "kind": "refused", "device": "d1", "code": 4, "reason": "stale_hour", "secret_was_right": False},
        {"t": 3.0, "kind": "refused", "device": "d1", "code": 4, "reason": "bad_password"},
        {"t": 3.0, "kind": "refused", "device": None, "code": 4, "reason": "stale_hour"},
    ]
    assert value(Story().device().end(9.0), refusals, "misjudged == 0") == 1


def test_platform_on_another_machine_is_brought_to_our_clock() -> None:
    story = Story().device().step(4.0, "rotate").action(4.0, "rotate").end(10.0)
    header = platform_header(monotonic=500.0, wall=1005.0)  # its 500 is our 5
    books = Books(story.records, [header, session(500.5), reset(501.0), detached(503.0)])
    measures = Measures(Oracle().feed_all(story.records), books)
    assert measures(parse("rotate: exposure.max == 0s")).value == pytest.approx(2.0)
    (exposure,) = books.exposures("d1")
    assert (exposure.since, exposure.until) == (pytest.approx(6.0), pytest.approx(8.0))


def registration(t: float, version: int | None = 1, kind: str = "registered") -> Record:
    return {"t": t, "kind": kind, "device": "d1", "version": version, "secure": version is not None}


def unregistered(t: float) -> Record:
    return {"t": t, "kind": "unregistered", "device": "d1", "reason": "deregistered"}


def exposed(*platform: Record) -> float | None:
    return value(Story().device().at(9.0, "ended"), list(platform), "exposure.max == 0s")


def test_registration_that_lives_on_a_retired_secret_is_exposed_until_it_ends() -> None:
    assert exposed(registration(1.0), reset(2.0), unregistered(5.0)) == 3.0


def test_refreshed_registration_goes_on_and_one_on_the_new_secret_does_not() -> None:
    refreshed = registration(4.0, kind="registration_updated")
    assert exposed(registration(1.0), reset(2.0), refreshed, unregistered(5.0)) == 3.0
    proved_anew = registration(4.0, version=2, kind="registration_updated")
    assert exposed(registration(1.0), reset(2.0), proved_anew, unregistered(5.0)) == 2.0


def test_registration_in_the_clear_rests_on_no_secret() -> None:
    assert exposed(registration(1.0, version=None), reset(2.0), unregistered(5.0)) is None


def test_session_that_has_ended_is_exposed_no_longer() -> None:
    ended = {"t": 4.0, "kind": "session_ended", "device": "d1", "endpoint": "d1", "reason": "closed"}
    assert exposed(registration(1.0), reset(2.0), ended, unregistered(8.0)) == 2.0


def test_messages_that_another_broker_took_are_not_called_lost() -> None:
    story = Story().device().end(3.0)
    measures = Measures(Oracle().feed_all(story.records), Books(story.records, [session(1.0) | {"via": "rabbitmq"}]))
    for stat in ("lost", "duplicated", "unexplained"):
        invalid = measures(parse(f"messages.{stat} == 0")).invalid
        assert invalid == "rabbitmq took the messages, the platform heard none of them"
    assert measures(parse("messages.sent == 0")).value == 0
    assert measures(parse("stale_sessions == 0")).value == 0
