"""The poll: whoever the broker lists no more is gone, and whoever it lists without our leave goes."""

import pytest

from broker.hooks.engine import Connection, EngineError
from broker.sessions import Ending
from tests.broker.hooks.stand import Stand
from tests.support.waiting import until

OLD_RUN = "d1_0_0_2026112109"


async def test_device_that_has_gone_is_noticed(stand: Stand) -> None:
    session = stand.log_in()
    stand.engine.connect("n1", session.client_id, "d1")
    stand.grow_old()
    await stand.poll.look()
    assert "d1" in stand.sessions
    stand.engine.live.clear()
    await stand.poll.look()
    assert "d1" not in stand.sessions
    assert stand.sessions.presence.left_at("d1") is not None
    (record,) = stand.records("detached")
    assert (record["reason"], record["via"]) == ("connection_lost", "rabbitmq")


async def test_device_that_was_refused_a_topic_has_gone_for_that(stand: Stand) -> None:
    stand.log_in()
    stand.remote.expect_the_end("d1")
    stand.grow_old()
    await stand.poll.look()
    assert [one["reason"] for one in stand.records("detached")] == ["topic_policy"]


async def test_list_that_is_behind_is_not_believed(stand: Stand) -> None:
    session = stand.log_in()
    await stand.poll.look()
    assert "d1" in stand.sessions
    stand.engine.connect("n1", session.client_id, "d1", young=True)
    stand.grow_old()
    await stand.poll.look()
    assert "d1" in stand.sessions


async def test_session_that_is_being_cut_is_left_to_the_cut(stand: Stand) -> None:
    stand.log_in()
    stand.grow_old()
    stand.engine.failures = 2
    stand.sessions.cut("d1", Ending.FORCED_RESET)
    await until(lambda: stand.engine.failures == 1, "the cut has failed once")
    stand.engine.failures = 0
    await stand.poll.look()
    assert "d1" in stand.sessions


async def test_connection_of_an_earlier_run_is_cut_when_it_is_seen_twice(stand: Stand) -> None:
    stand.engine.connect("n1", OLD_RUN, "d1")
    await stand.poll.look()
    assert list(stand.engine.live) == ["n1"]
    await stand.poll.look()
    assert stand.engine.live == {}
    (record,) = stand.records("stray_cut")
    assert (record["device"], record["client_id"]) == ("d1", OLD_RUN)


@pytest.mark.parametrize(
    ("client_id", "username", "goes"), [("gone_0_0_2026112109", "gone", True), ("backup", "op", False)]
)
async def test_stray_of_a_deleted_device_goes_and_an_operator_stays(
    stand: Stand, client_id: str, username: str, goes: bool
) -> None:
    stand.engine.connect("n1", client_id, username)
    for _ in range(3):
        await stand.poll.look()
    assert (stand.engine.live == {}) is goes


async def test_connection_of_a_session_is_no_stray(stand: Stand) -> None:
    session = stand.log_in()
    stand.engine.connect("n1", session.client_id, "d1")
    for _ in range(3):
        await stand.poll.look()
    assert list(stand.engine.live) == ["n1"]


async def test_poll_goes_on_when_the_broker_does_not_answer(stand: Stand) -> None:
    stand.engine.failures = 3
    stand.poll.start()
    await until(lambda: stand.records("engine_reachable"), "it answers again")
    await stand.poll.stop()
    kinds = [one["kind"] for one in stand.records("engine_unreachable", "engine_reachable")]
    assert kinds == ["engine_unreachable", "engine_reachable"]


async def test_crash_of_one_look_is_counted_and_the_poll_goes_on(
    stand: Stand, capsys: pytest.CaptureFixture[str]
) -> None:
    async def crash() -> list[Connection]:
        stand.engine.connections = type(stand.engine).connections.__get__(stand.engine)  # type: ignore[method-assign]
        stand.engine.failures = 1
        raise LookupError

    stand.engine.connections = crash  # type: ignore[method-assign]
    stand.poll.start()
    await until(lambda: stand.records("engine_unreachable"), "the next look failed otherwise")
    await stand.poll.stop()
    assert stand.premises.statistics.internal_errors == 1
    assert "LookupError" in capsys.readouterr().err


async def test_failure_reaches_who_looks(stand: Stand) -> None:
    stand.engine.failures = 1
    with pytest.raises(EngineError):
        await stand.poll.look()
