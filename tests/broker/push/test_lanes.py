"""The queue of one receiver: order within a device, fairness between devices, a bound that keeps the newest."""

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from broker.push.lanes import Lanes, Push
from broker.push.notification import PushedStatus, StatusChange
from tests.broker.rig import START


def change(device_id: str = "d1", number: int = 0) -> StatusChange:
    return StatusChange(f"{number}", device_id, None, None, PushedStatus.ONLINE, START, START)


def take(lanes: Lanes) -> Push:
    push = lanes.take()
    assert push is not None
    return push


def test_changes_of_a_device_are_taken_one_after_another() -> None:
    lanes = Lanes(10)
    first, second = change(number=1), change(number=2)
    assert lanes.offer(first) is lanes.offer(second) is None
    push = take(lanes)
    assert push.change is first
    assert lanes.take() is None
    lanes.again(push)
    assert take(lanes) is push
    lanes.finish(push)
    assert take(lanes).change is second


def test_device_that_is_tried_again_keeps_nobody_else_waiting() -> None:
    lanes = Lanes(10)
    for device_id in ("slow", "quick"):
        lanes.offer(change(device_id))
    slow = take(lanes)
    assert take(lanes).change.device_id == "quick"
    lanes.again(slow)
    assert take(lanes) is slow


def test_change_of_a_device_without_a_place_is_lost_when_the_queue_is_full() -> None:
    lanes = Lanes(1)
    lanes.offer(change("d1"))
    late = change("d2")
    assert lanes.offer(late) is late
    assert len(lanes) == 1


def test_newest_change_of_a_device_takes_the_place_of_its_oldest_that_waits() -> None:
    lanes = Lanes(2)
    one, two, three, four = (change(number=number) for number in range(4))
    lanes.offer(one)
    lanes.offer(two)
    assert lanes.offer(three) is one
    push = take(lanes)
    assert push.change is two
    assert lanes.offer(four) is three
    lanes.finish(push)
    assert take(lanes).change is four


def test_place_of_a_change_that_nobody_has_taken_goes_to_the_newer_one() -> None:
    lanes = Lanes(1)
    old, new = change(number=1), change(number=2)
    lanes.offer(old)
    assert lanes.offer(new) is old
    assert take(lanes).change is new


def test_device_whose_push_is_under_way_gets_one_place_more() -> None:
    lanes = Lanes(1)
    lanes.offer(change())
    push, newest = take(lanes), change(number=2)
    assert lanes.offer(newest) is None
    lanes.finish(push)
    assert take(lanes).change is newest


def test_cleared_queue_tells_how_much_it_held() -> None:
    lanes = Lanes(10)
    lanes.offer(change("d1"))
    lanes.offer(change("d2"))
    take(lanes)
    assert lanes.clear() == 2
    assert (len(lanes), lanes.has_ready, lanes.take()) == (0, False, None)


@given(st.lists(st.tuples(st.sampled_from(["offer", "take", "finish"]), st.sampled_from("abc"))), st.integers(1, 4))
def test_last_state_that_is_told_is_the_last_that_was_not_lost(steps: list[tuple[str, str]], limit: int) -> None:
    """Whatever the order of events: in order, one at a time, bounded; a lane's newest change is never lost."""
    lanes, told, taken = Lanes(limit), defaultdict[str, list[int]](list), dict[str, Push]()
    newest = dict[str, int]()
    for number, (step, device_id) in enumerate(steps):
        if step == "offer":
            new = change(device_id, number)
            if lanes.offer(new) is not new:
                newest[device_id] = number
            else:
                assert device_id not in taken
        elif step == "take" and (push := lanes.take()):
            assert push.change.device_id not in taken
            taken[push.change.device_id] = push
        elif step == "finish" and (over := taken.pop(device_id, None)):
            told[device_id].append(int(over.change.request_id))
            lanes.finish(over)
        assert len(lanes) <= 2 * limit
    for over in taken.values():
        told[over.change.device_id].append(int(over.change.request_id))
        lanes.finish(over)
    while rest := lanes.take():
        told[rest.change.device_id].append(int(rest.change.request_id))
        lanes.finish(rest)
    assert len(lanes) == 0
    for device_id, numbers in told.items():
        assert numbers == sorted(numbers)
        assert numbers[-1] == newest[device_id]
