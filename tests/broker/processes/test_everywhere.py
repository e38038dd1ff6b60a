"""Changes in all processes: what is said when, and in which order."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.errors import InvalidInput, NotConfirmed
from broker.processes.letters import EVERYBODY, Cut, Put, PutForward, Settled, ShareTopics
from broker.sessions import Ending
from tests.broker.processes.hub_rig import HubRig
from tests.broker.rig import DEADLINE_S, device


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubRig]:
    hub = HubRig(tmp_path / "j")
    yield hub
    hub.journal.close()


def reset(hub: HubRig, device_id: str = "d1", *, force: bool = True) -> "asyncio.Future[object]":
    def in_force() -> str:
        hub.registry.put(device(device_id))
        cut = force and hub.books.cut(device_id, Ending.FORCED_RESET)
        hub.journal.write("reset", device=device_id, cut=cut)
        return "done"

    return hub.change(in_force)


async def test_nobody_is_told_before_all_have_confirmed(hub: HubRig) -> None:
    answer = reset(hub)
    (mine,), (others,) = hub.changes(hub.one), hub.changes(hub.other)
    assert mine == others
    assert [type(step) for step in mine.steps] == [Put, Cut]
    hub.confirm(hub.one, mine)
    assert (answer.done(), hub.records) == (False, [])
    assert hub.posts[hub.one].of(Settled) == []
    hub.confirm(hub.other, others)
    assert answer.result() == "done"
    assert [one["kind"] for one in hub.records] == ["reset"]
    assert hub.posts[hub.one].of(Settled) == [Settled(mine.number)]


@pytest.mark.parametrize("is_booked", [False, True])
@pytest.mark.parametrize("cut", [(), ("d1",)])
async def test_whether_a_session_was_cut_is_what_the_processes_say(
    hub: HubRig, is_booked: bool, cut: tuple[str, ...]
) -> None:
    if is_booked:
        hub.claim(hub.one, 1)
    reset(hub)
    hub.confirm(hub.one, hub.changes(hub.one)[0], *cut)
    hub.confirm(hub.other, hub.changes(hub.one)[0])
    assert [one["cut"] for one in hub.records] == [bool(cut)]


async def test_one_devices_changes_go_out_one_after_the_other_and_others_side_by_side(hub: HubRig) -> None:
    first, second, third = reset(hub), reset(hub, force=False), reset(hub, "d2")
    sent = hub.changes(hub.one)
    assert [one.steps[0].device.device_id for one in sent] == ["d1", "d2"]
    for member in (hub.one, hub.other):
        hub.confirm(member, sent[1])
    assert (first.done(), second.done(), third.done()) == (False, False, True)
    for member in (hub.one, hub.other):
        hub.confirm(member, sent[0])
    assert (first.done(), second.done()) == (True, False)
    last = hub.changes(hub.one)[-1]
    assert [type(step) for step in last.steps] == [Put]
    for member in (hub.one, hub.other):
        hub.confirm(member, last)
    assert second.done()
    assert [one["device"] for one in hub.records] == ["d2", "d1", "d1"]


async def test_change_about_everybody_waits_for_all_and_holds_up_all(hub: HubRig) -> None:
    reset(hub)
    hub.change(lambda: hub.draft.add(PutForward(1.0)))
    reset(hub, "d2")
    assert len(hub.changes(hub.one)) == 1
    for _ in range(2):
        for member in (hub.one, hub.other):
            hub.confirm(member, hub.changes(member)[-1])
    kinds = [type(one.steps[0]) for one in hub.changes(hub.one)]
    assert kinds == [Put, PutForward, Put]


async def test_change_of_nothing_is_answered_at_once(hub: HubRig) -> None:
    assert hub.change(lambda: hub.journal.write("noted")).done()
    assert [one["kind"] for one in hub.records] == ["noted"]
    assert hub.posts[hub.one].letters == []


async def test_change_about_no_device_is_settled_too(hub: HubRig) -> None:
    hub.everywhere.order(ShareTopics())
    for member in (hub.one, hub.other):
        hub.confirm(member, hub.changes(member)[0])
    assert len(hub.posts[hub.other].of(Settled)) == 1


async def test_what_the_change_itself_raises_is_raised(hub: HubRig) -> None:
    def fail() -> None:
        raise InvalidInput("no")

    with pytest.raises(InvalidInput):
        hub.change(fail)
    assert not hub.draft.is_open
    assert hub.change(lambda: 1).result() == 1


async def test_process_that_is_gone_has_nothing_to_confirm(hub: HubRig) -> None:
    answer = reset(hub)
    hub.confirm(hub.one, hub.changes(hub.one)[0])
    hub.everywhere.members.remove(hub.other)
    hub.everywhere.lost(hub.other)
    assert answer.done()


async def test_process_that_does_not_serve_yet_is_sent_the_change_and_not_waited_for(hub: HubRig) -> None:
    hub.other.is_ready = False
    answer = reset(hub)
    hub.confirm(hub.one, hub.changes(hub.one)[0])
    assert answer.done()
    assert len(hub.changes(hub.other)) == 1


async def test_silent_process_is_named_and_its_late_word_is_journalled(hub: HubRig) -> None:
    answer = reset(hub)
    hub.confirm(hub.one, hub.changes(hub.one)[0])
    with pytest.raises(NotConfirmed, match="access process 2 has not confirmed"):
        async with asyncio.timeout(DEADLINE_S):
            await answer
    assert not hub.everywhere.is_changing("d1")
    hub.confirm(hub.other, hub.changes(hub.other)[0])
    kinds = {one["kind"]: one for one in hub.records}
    assert list(kinds) == ["reset", "unconfirmed", "confirmed"]
    assert (kinds["unconfirmed"]["processes"], kinds["confirmed"]["process"]) == ([2], 2)


async def test_claims_wait_while_their_device_is_changing(hub: HubRig) -> None:
    reset(hub)
    assert hub.everywhere.is_changing("d1")
    assert not hub.everywhere.is_changing("d2")
    hub.change(lambda: hub.draft.add(PutForward(1.0)))
    assert hub.everywhere.is_changing("d2"), f"{EVERYBODY} is d2 too"
