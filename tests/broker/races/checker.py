"""Judges a run under stress by both sides: what clients and callers saw, and the order of the journal. Pure.

Order has two sources. A call or an attempt that began after another was answered must come after it in the journal;
and the journal, record by record, must be possible for a platform that does one thing at a time.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from tests.broker.races.facts import Attempt, Call, Facts, Record
from tests.broker.races.replay import Replay

CLOCK_S = 0.00001
"""The journal rounds its times."""
KEEPERS = ("frozen", "unfrozen", "deleted", "created")


@dataclass(frozen=True, slots=True)
class _Span:
    """When something began and was answered, and where it stands in the journal."""

    began: float
    ended: float
    place: int
    name: str


def violations(facts: Facts, records: Sequence[Record], *, side_by_side: bool = False) -> list[str]:
    """Say all that must not have happened, in one process or in several `side_by_side`."""
    fingerprints = {one.peer: one.fingerprint for one in facts.attempts}
    replay = Replay(records, fingerprints, side_by_side=side_by_side)
    return [*replay.violations, *_beside_the_replay(facts, records, replay)]


def _beside_the_replay(facts: Facts, records: Sequence[Record], replay: Replay) -> Iterator[str]:
    places = dict(_places(facts.calls, records))
    for number, call in enumerate(facts.calls):
        if call.is_served and call.kind != "provisioned" and number not in places:
            yield f"{_told(call)}: served, and not in the journal"
    for number, place in places.items():
        yield from _of_call(facts.calls[number], place, records, replay)
    yield from _of_verdicts(facts.attempts, replay)
    yield from _of_order(facts, places, replay)
    yield from _of_retired(facts)


def _places(calls: Sequence[Call], records: Sequence[Record]) -> Iterator[tuple[int, int]]:
    """Find the records of served calls: of resets by their request, of the others by their order, one at a time."""
    resets = {one["request_id"]: place for place, one in enumerate(records) if one["kind"] == "reset"}
    kept: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, one in enumerate(records):
        if one["kind"] in KEEPERS:
            kept[one["device"], one["kind"]].append(place)
    for number, call in enumerate(calls):
        if not call.is_served:
            continue
        if call.kind == "reset" and call.request_id in resets:
            yield number, resets[call.request_id]
        elif call.kind in KEEPERS and kept[call.device, call.kind]:
            yield number, kept[call.device, call.kind].pop(0)


def _of_call(call: Call, place: int, records: Sequence[Record], replay: Replay) -> Iterator[str]:
    record = records[place]
    if not call.sent - CLOCK_S <= record["t"] <= call.replied + CLOCK_S:
        yield f"{_told(call)}: in force at {record['t']:.6f}, not between request and reply"
    if call.kind == "reset" and any(record[name] != getattr(call, name) for name in ("slot", "fingerprint", "forced")):
        yield f"{_told(call)}: the journal says {record}"
    if call.cuts:
        for peer in call.still_open:
            if replay.judged.get(peer, place) < place:
                yield f"{_told(call)}: {peer}, judged before it, was open when its reply came"


def _of_verdicts(attempts: Sequence[Attempt], replay: Replay) -> Iterator[str]:
    for one in attempts:
        session, place = replay.sessions.get(one.peer), replay.judged.get(one.peer)
        if one.code == 0 and session is None:
            yield f"{one.peer}: let in, and not in the journal"
        if one.code and (session is not None or place is None):
            yield f"{one.peer}: refused, and not so in the journal"
        if session is not None and (lost := one.acknowledged - session.messages):
            yield f"{one.peer}: acknowledged outside of its session: {sorted(lost)}"


def _of_order(facts: Facts, places: dict[int, int], replay: Replay) -> Iterator[str]:
    """Of two calls or attempts, who began after the other's answer comes after it in the journal."""
    devices: dict[str, list[_Span]] = defaultdict(list)
    for number, place in places.items():
        call = facts.calls[number]
        devices[call.device].append(_Span(call.sent, call.replied, place, _told(call)))
    for one in facts.attempts:
        if one.peer in replay.judged:
            devices[one.device].append(_Span(one.began, one.answered, replay.judged[one.peer], one.peer))
    for spans in devices.values():
        spans.sort(key=lambda one: one.ended)
        latest = list(accumulate(spans, lambda one, other: one if one.place > other.place else other))
        for span in spans:
            before = bisect_left(spans, span.began, key=lambda one: one.ended)
            if before and latest[before - 1].place > span.place:
                yield f"{span.name}: before {latest[before - 1].name}, which was answered before it began"


def _of_retired(facts: Facts) -> Iterator[str]:
    """By the clients' facts alone: nobody comes in with a secret whose end was answered before the attempt began."""
    ends = dict(_ends(facts.calls))
    for one in facts.attempts:
        if one.code == 0 and ends.get(one.fingerprint, one.began) < one.began:
            yield f"{one.peer}: let in with a secret that was retired {one.began - ends[one.fingerprint]:.6f} s before"


def _ends(calls: Sequence[Call]) -> Iterator[tuple[str, float]]:
    """When each secret's end was answered, at the latest: by the first served call after the one that set it."""
    for setter in calls:
        if not setter.is_served or not setter.fingerprint:
            continue
        enders = [one.replied for one in calls if _ends_secret_of(setter, one)]
        if enders:
            yield setter.fingerprint, min(enders)


def _ends_secret_of(setter: Call, one: Call) -> bool:
    if not one.is_served or one.device != setter.device or one.sent <= setter.replied:
        return False
    return one.kind == "deleted" or (one.kind == "reset" and one.slot == setter.slot)


def _told(call: Call) -> str:
    force = " with force" if call.forced else ""
    return f"{call.kind} of {call.device} {call.slot}{force} at {call.sent:.6f}"
