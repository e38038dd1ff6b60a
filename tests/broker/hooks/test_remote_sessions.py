"""Sessions at another broker: they live until a cut is confirmed, and no cut hits whoever has come again."""

import pytest

from broker.hooks.engine import Visitor
from broker.sessions import Ending
from tests.broker.hooks.stand import Stand, link_of
from tests.support.waiting import turns, until

LATER = "2026112120"


async def confirmed(stand: Stand, device_id: str = "d1") -> dict[str, object]:
    await until(lambda: stand.records("cut_confirmed"), "the cut is confirmed")
    (found,) = stand.records("cut_confirmed")
    assert found["device"] == device_id
    return found


async def test_session_lives_until_its_cut_is_confirmed(stand: Stand) -> None:
    session = stand.log_in()
    stand.engine.connect("n1", session.client_id, "d1")
    assert not stand.sessions.cut("d1", Ending.FORCED_RESET)
    assert stand.sessions.get("d1") is session
    record = await confirmed(stand)
    assert (record["reason"], record["attempts"], record["via"]) == ("forced_reset", 1, "rabbitmq")
    assert "d1" not in stand.sessions
    assert stand.engine.live == {}
    kinds = [one["kind"] for one in stand.records("cut_requested", "cut_confirmed", "detached")]
    assert kinds == ["cut_requested", "cut_confirmed", "detached"]
    (detached,) = stand.records("detached")
    assert (detached["reason"], detached["slot"], detached["version"]) == ("forced_reset", "primary", 1)
    assert stand.premises.statistics.ended == {"forced_reset": 1}


async def test_cut_is_repeated_while_the_broker_fails_and_says_so_once(stand: Stand) -> None:
    session = stand.log_in()
    stand.engine.connect("n1", session.client_id, "d1")
    stand.grow_old()
    stand.engine.failures = 2
    stand.sessions.cut("d1", Ending.FROZEN)
    await until(lambda: stand.records("cut_failed"), "the failure is told")
    assert stand.sessions.get("d1") is session
    stand.clock.advance(0.25)
    record = await confirmed(stand)
    assert record["attempts"] == 3
    assert record["took_s"] == 0.25
    assert [one["why"] for one in stand.records("cut_failed")] == ["GET: answered 503"]


async def test_connection_that_is_not_there_yet_is_cut_when_it_is(stand: Stand) -> None:
    session = stand.log_in()
    stand.sessions.cut("d1", Ending.FORCED_RESET)
    await until(lambda: len(stand.engine.asked) >= 2, "it is asked for again")
    assert stand.records("cut_confirmed") == []
    stand.engine.connect("n1", session.client_id, "d1", young=True)
    await confirmed(stand)
    assert stand.engine.live == {}


async def test_connection_that_never_comes_is_given_up_after_a_while(stand: Stand) -> None:
    stand.log_in()
    stand.sessions.cut("d1", Ending.FORCED_RESET)
    await until(lambda: len(stand.engine.asked) >= 2, "it is asked for again")
    assert stand.records("cut_confirmed") == []
    stand.grow_old()
    await confirmed(stand)
    assert "d1" not in stand.sessions


async def test_take_over_with_the_same_client_id_is_left_to_the_broker(stand: Stand) -> None:
    first = stand.log_in()
    second = stand.log_in()
    stand.engine.connect("n2", second.client_id, "d1")
    assert first.client_id == second.client_id
    await until(lambda: stand.records("cut_confirmed"), "it is over")
    assert stand.engine.asked == []
    assert stand.sessions.get("d1") is second
    assert [one["kind"] for one in stand.records("accepted", "detached")] == ["accepted", "detached", "accepted"]


async def test_take_over_with_another_client_id_cuts_the_old_connection_alone(stand: Stand) -> None:
    first = stand.log_in()
    stand.engine.connect("n1", first.client_id, "d1", young=True)
    second = stand.log_in(hour=LATER)
    stand.engine.connect("n2", second.client_id, "d1")
    await until(lambda: stand.records("cut_confirmed"), "it is over")
    assert list(stand.engine.live) == ["n2"]
    assert stand.engine.asked == [first.client_id]
    assert stand.sessions.get("d1") is second


async def test_cut_that_was_late_does_not_hit_who_has_come_again(stand: Stand) -> None:
    first = stand.log_in()
    link_of(first).was_seen = True
    stand.engine.failures = 3
    stand.sessions.cut("d1", Ending.FORCED_RESET)
    await until(lambda: stand.engine.failures == 2, "the first attempt has failed")
    second = stand.log_in(version=2)
    stand.engine.connect("n2", second.client_id, "d1")
    await confirmed(stand)
    assert list(stand.engine.live) == ["n2"]
    assert stand.sessions.get("d1") is second
    reasons = [one["reason"] for one in stand.records("detached")]
    assert reasons == ["forced_reset"]


async def test_old_secret_does_not_stay_in_behind_a_new_session_that_it_has_displaced(stand: Stand) -> None:
    first = stand.log_in()
    stand.sessions.cut("d1", Ending.FORCED_RESET)
    await until(lambda: stand.engine.asked, "nothing was found")
    second = stand.log_in(version=2)
    stand.engine.connect("n1", first.client_id, "d1")
    assert first.client_id == second.client_id
    stand.grow_old()
    await confirmed(stand)
    assert stand.engine.live == {}


async def test_device_that_comes_again_at_our_own_port_is_cut_at_the_broker(stand: Stand) -> None:
    first = stand.log_in()
    stand.engine.connect("n1", first.client_id, "d1")
    stand.sessions.cut("d1", Ending.TAKE_OVER)
    here = stand.log_in()
    here.via = None
    await until(lambda: stand.records("cut_confirmed"), "it is cut")
    assert stand.engine.live == {}


async def test_second_cut_waits_for_the_first(stand: Stand) -> None:
    session = stand.log_in()
    stand.engine.connect("n1", session.client_id, "d1")
    stand.sessions.cut("d1", Ending.FORCED_RESET)
    stand.sessions.cut("d1", Ending.FROZEN)
    await confirmed(stand)
    assert [one["reason"] for one in stand.records("cut_requested")] == ["forced_reset"]


async def test_device_that_is_no_more_leaves_no_trace(stand: Stand) -> None:
    session = stand.log_in()
    stand.engine.connect("n1", session.client_id, "d1")
    stand.sessions.cut("d1", Ending.DELETED)
    stand.premises.registry.remove("d1")
    stand.sessions.presence.forget("d1")
    await confirmed(stand)
    assert stand.sessions.presence.left_at("d1") is None


async def test_cut_that_crashes_takes_nothing_with_it(stand: Stand, capsys: pytest.CaptureFixture[str]) -> None:
    async def crash(visitor: Visitor) -> bool:
        raise LookupError

    session = stand.log_in()
    stand.engine.is_connected = crash  # type: ignore[method-assign]
    stand.sessions.cut("d1", Ending.FORCED_RESET)
    await until(lambda: stand.premises.statistics.internal_errors, "the crash is counted")
    assert stand.sessions.get("d1") is session
    assert "LookupError" in capsys.readouterr().err
    await turns()
    assert stand.records("cut_confirmed") == []


async def test_nobody_is_asked_after_the_stop(stand: Stand) -> None:
    stand.log_in()
    stand.log_in("d2")
    stand.sessions.cut("d1", Ending.FORCED_RESET)
    await until(lambda: stand.engine.asked, "a cut is under way")
    await stand.remote.stop()
    asked = len(stand.engine.asked)
    stand.sessions.cut("d2", Ending.FORCED_RESET)
    await turns()
    assert len(stand.engine.asked) == asked
    assert [one["device"] for one in stand.records("cut_requested")] == ["d1", "d2"]
    assert stand.records("cut_confirmed") == []


async def test_nothing_can_be_sent_to_a_device_at_another_broker(stand: Stand) -> None:
    session = stand.log_in()
    assert stand.sessions.reachable("d1") is None
    assert "connected to rabbitmq" in str(stand.sessions.unreachable("d1"))
    with pytest.raises(AssertionError):
        session.link.send(b"x")
