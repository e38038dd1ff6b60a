"""Which process has a device: claims, moves, and what waits for them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.processes.letters import Came, Denied, Granted, Release, Released, Said, Went, Withdrawn
from broker.processes.member import Member
from broker.sessions import Ending
from tests.broker.processes.hub_rig import MOMENT, HubRig
from tests.broker.rig import device
from tests.support.waiting import until


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubRig]:
    hub = HubRig(tmp_path / "j")
    yield hub
    hub.journal.close()


def granted(hub: HubRig, member: Member) -> list[int]:
    return [one.claim for one in hub.posts[member].of(Granted)]


async def test_first_claim_is_granted_at_once_and_booked(hub: HubRig) -> None:
    hub.claim(hub.one, 1)
    assert granted(hub, hub.one) == [1]
    assert "d1" in hub.books


async def test_session_behind_an_engine_is_booked_when_it_is_open(tmp_path: Path) -> None:
    hub = HubRig(tmp_path / "j", opens_at_once=False)
    hub.claim(hub.one, 1)
    assert "d1" not in hub.books
    hub.homes.came(hub.one, Came(1, "d1"))
    assert "d1" in hub.books
    hub.journal.close()


async def test_other_process_gets_a_device_when_it_is_let_go_of_with_what_was_kept(hub: HubRig) -> None:
    hub.claim(hub.one, 1)
    hub.claim(hub.other, 1)
    (release,) = hub.posts[hub.one].of(Release)
    assert release.device_id == "d1"
    assert granted(hub, hub.other) == []
    hub.homes.went(hub.one, Went(1, "d1", MOMENT, for_good=False, kept=True))
    hub.homes.released(hub.one, Released(release.number, b"estate"))
    assert hub.posts[hub.other].of(Granted) == [Granted(1, "d1", b"estate")]
    (session,) = hub.books
    assert session.member is hub.other  # type: ignore[attr-defined]


async def test_claims_of_one_device_are_granted_in_order(hub: HubRig) -> None:
    hub.claim(hub.one, 1)
    hub.claim(hub.other, 1)
    hub.claim(hub.one, 2)
    hub.homes.released(hub.one, Released(hub.posts[hub.one].of(Release)[0].number, None))
    assert (granted(hub, hub.one), granted(hub, hub.other)) == ([1], [1])
    hub.homes.released(hub.other, Released(hub.posts[hub.other].of(Release)[0].number, None))
    assert granted(hub, hub.one) == [1, 2]


async def test_device_of_which_nothing_is_kept_moves_without_being_asked_for(hub: HubRig) -> None:
    hub.claim(hub.one, 1)
    hub.homes.went(hub.one, Went(1, "d1", MOMENT, for_good=True, kept=False))
    assert len(hub.books) == 0
    hub.claim(hub.other, 1)
    assert granted(hub, hub.other) == [1]
    assert hub.posts[hub.one].of(Release) == []


async def test_claim_waits_for_a_change_and_the_change_for_a_move(hub: HubRig) -> None:
    hub.claim(hub.one, 1)
    hub.claim(hub.other, 1)
    answer = hub.change(lambda: hub.registry.put(device("d1")))
    assert hub.changes(hub.one) == []
    hub.homes.released(hub.one, Released(hub.posts[hub.one].of(Release)[0].number, None))
    (change,) = hub.changes(hub.one)
    kinds = [type(one) for one in hub.posts[hub.other].letters]
    assert kinds.index(Granted) < kinds.index(type(change)), "who was judged before is in before"
    hub.claim(hub.other, 2)
    assert granted(hub, hub.other) == [1]
    for member in (hub.one, hub.other):
        hub.confirm(member, change)
    assert answer.done()
    assert granted(hub, hub.other) == [1, 2]


async def test_withdrawn_claim_is_never_granted(hub: HubRig) -> None:
    hub.change(lambda: hub.registry.put(device("d1")))
    hub.claim(hub.one, 1)
    hub.homes.withdrawn(hub.one, Withdrawn(1, "d1"))
    for member in (hub.one, hub.other):
        hub.confirm(member, hub.changes(member)[0])
    assert granted(hub, hub.one) == []


async def test_claim_withdrawn_after_it_was_granted_is_a_session_that_is_over(hub: HubRig) -> None:
    hub.claim(hub.one, 1)
    hub.homes.withdrawn(hub.one, Withdrawn(1, "d1"))
    assert len(hub.books) == 0


async def test_news_of_an_older_session_end_no_newer_one(hub: HubRig) -> None:
    hub.claim(hub.one, 1)
    hub.claim(hub.one, 2)
    hub.homes.went(hub.one, Went(1, "d1", MOMENT, for_good=False, kept=False))
    assert "d1" in hub.books
    hub.claim(hub.other, 1)
    assert len(hub.posts[hub.one].of(Release)) == 1


async def test_silent_home_denies_the_claim_and_its_late_estate_goes_back(hub: HubRig) -> None:
    hub.claim(hub.one, 1)
    hub.claim(hub.other, 7)
    await until(lambda: hub.posts[hub.other].of(Denied), "the claim is denied")
    assert hub.posts[hub.other].of(Denied)[0].claim == 7
    hub.homes.released(hub.one, Released(hub.posts[hub.one].of(Release)[0].number, b"estate"))
    assert hub.posts[hub.one].of(Granted)[-1] == Granted(0, "d1", b"estate")
    assert granted(hub, hub.other) == []


async def test_late_estate_goes_to_who_claims_it_now(hub: HubRig) -> None:
    hub.claim(hub.one, 1)
    hub.claim(hub.other, 7)
    await until(lambda: hub.posts[hub.other].of(Denied), "the claim is denied")
    hub.claim(hub.other, 8)
    first, second = hub.posts[hub.one].of(Release)
    hub.homes.released(hub.one, Released(first.number, b"estate"))
    hub.homes.released(hub.one, Released(second.number, None))
    assert hub.posts[hub.other].of(Granted) == [Granted(8, "d1", b"estate")]


async def test_home_that_is_gone_has_let_go(hub: HubRig) -> None:
    hub.claim(hub.one, 1)
    hub.claim(hub.other, 1)
    hub.one.is_gone = True
    hub.homes.lost(hub.one)
    assert granted(hub, hub.other) == [1]


async def test_estate_for_a_claimant_that_is_gone_goes_back(hub: HubRig) -> None:
    hub.claim(hub.one, 1)
    hub.claim(hub.other, 1)
    hub.other.is_gone = True
    hub.homes.lost(hub.other)
    hub.homes.released(hub.one, Released(hub.posts[hub.one].of(Release)[0].number, b"estate"))
    assert hub.posts[hub.one].of(Granted)[-1] == Granted(0, "d1", b"estate")
    assert granted(hub, hub.other) == []


async def test_messages_reach_all_and_a_device_that_is_nowhere_afterwards(hub: HubRig) -> None:
    hub.claim(hub.one, 1)
    hub.homes.said(Said("d2", b"before"))
    hub.claim(hub.other, 1)
    during = Said("d2", b"during")
    hub.homes.said(during)
    assert [hub.posts[one].of(Said)[-1] for one in (hub.one, hub.other)] == [during] * 2
    hub.homes.released(hub.one, Released(hub.posts[hub.one].of(Release)[0].number, b"estate"))
    assert hub.posts[hub.other].of(Granted)[0].missed == (during,)


async def test_call_goes_where_the_device_is_when_it_has_moved(hub: HubRig) -> None:
    places: list[Member | None] = []
    hub.homes.when_settled("d1", places.append)
    hub.claim(hub.one, 1)
    hub.homes.when_settled("d1", places.append)
    hub.claim(hub.other, 1)
    hub.homes.when_settled("d1", places.append)
    assert places == [None, hub.one]
    hub.homes.released(hub.one, Released(hub.posts[hub.one].of(Release)[0].number, None))
    assert places == [None, hub.one, hub.other]


async def test_device_stays_where_something_was_put_for_it(hub: HubRig) -> None:
    hub.claim(hub.one, 1)
    hub.homes.settle_in("d1", hub.one)
    hub.homes.went(hub.one, Went(1, "d1", MOMENT, for_good=True, kept=False))
    hub.claim(hub.other, 1)
    assert len(hub.posts[hub.one].of(Release)) == 1


async def test_books_cut_nothing_themselves(hub: HubRig) -> None:
    hub.claim(hub.one, 1)
    hub.change(lambda: hub.books.cut("d1", Ending.FROZEN))
    assert "d1" in hub.books
