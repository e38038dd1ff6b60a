"""What waits for a device: first in, first out, bounded in messages and in bytes."""

from hypothesis import given
from hypothesis import strategies as st

from broker.access.queue import Bounds, Message, Queue


def message(size: int) -> Message:
    return Message("t", b"x" * (size - 1))


@given(st.lists(st.integers(1, 50)), st.integers(1, 5), st.integers(1, 60))
def test_bounds_are_kept_and_nothing_is_lost_unsaid(sizes: list[int], most: int, most_bytes: int) -> None:
    queue, lost = Queue(Bounds(most, most_bytes)), list[Message]()
    offered = [message(size) for size in sizes]
    for one in offered:
        lost += queue.append(one)
        assert len(queue) <= most
    left = [queue.take() for _ in range(len(queue))]
    assert lost + left == offered
    assert sum(one.size for one in left) <= most_bytes or len(left) == 1


def test_message_takes_no_more_places_than_it_needs() -> None:
    queue = Queue(Bounds(100, 30))
    assert [queue.append(message(size)) for size in (10, 10, 10)] == [[], [], []]
    assert queue.append(message(15)) == [message(10), message(10)]


def test_message_larger_than_the_whole_queue_waits_alone() -> None:
    queue = Queue(Bounds(100, 30))
    queue.append(message(10))
    assert queue.append(message(50)) == [message(10)]
    assert queue.append(message(10)) == [message(50)]


def test_room_comes_back_when_messages_are_taken() -> None:
    queue = Queue(Bounds(100, 30))
    for _ in range(50):
        assert queue.append(message(25)) == []
        queue.take()
