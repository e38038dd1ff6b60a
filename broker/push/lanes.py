"""What waits for one receiver: changes of many devices side by side, those of one device one after another."""

from collections import deque
from dataclasses import dataclass

from broker.push.notification import StatusChange


@dataclass(slots=True, eq=False)
class Push:
    """A change on its way; `has_begun` as soon as somebody has taken it."""

    change: StatusChange
    attempts: int = 0
    has_begun: bool = False


class Lanes:
    """A bounded queue with one lane a device; the first push of a lane is ready, under way, or waits for another try.

    A receiver must not be left with what was long ago: when the queue is full, a device that has a lane keeps a place
    for its newest change, at the cost of an older one of its own. The change of any other device is lost.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lanes: dict[str, list[Push]] = {}
        self._ready: deque[Push] = deque()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def has_ready(self) -> bool:
        return bool(self._ready)

    def offer(self, change: StatusChange) -> StatusChange | None:
        """Let a change wait for its turn; returns the one that is lost for it."""
        lane = self._lanes.get(change.device_id)
        if self._count >= self._limit:
            if lane is None:
                return change
            if len(lane) > 1 or not lane[0].has_begun:
                return _replace_oldest(lane, change)
        push = Push(change)
        self._count += 1
        if lane is None:
            self._lanes[change.device_id] = [push]
            self._ready.append(push)
        else:
            lane.append(push)
        return None

    def take(self) -> Push | None:
        """Return the push that has been ready longest."""
        if not self._ready:
            return None
        push = self._ready.popleft()
        push.has_begun = True
        return push

    def again(self, push: Push) -> None:
        """Make a push ready once more."""
        self._ready.append(push)

    def finish(self, push: Push) -> None:
        """A push is over, delivered or not: the next of its device is ready."""
        device_id = push.change.device_id
        lane = self._lanes[device_id]
        del lane[0]
        self._count -= 1
        if lane:
            self._ready.append(lane[0])
        else:
            del self._lanes[device_id]

    def clear(self) -> int:
        """Forget everything; returns how many pushes that were."""
        count, self._count = self._count, 0
        self._lanes.clear()
        self._ready.clear()
        return count


def _replace_oldest(lane: list[Push], change: StatusChange) -> StatusChange:
    """Take the oldest push out that nobody has taken, and put a change at the end of the lane."""
    if len(lane) == 1:
        lost, lane[0].change = lane[0].change, change
        return lost
    if not lane[0].has_begun:
        lost, lane[0].change = lane[0].change, lane[1].change
    else:
        lost = lane[1].change
    del lane[1]
    lane.append(Push(change))
    return lost
