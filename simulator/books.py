"""The books: the devices' journal held against the platform's. Pure.

Both journals count seconds of the machine's monotonic clock from a header that ties them to wall time; times here
are the device side's.
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Record = dict[str, Any]

# Two wall-clock readings of one machine may differ by this much; within it both files share one monotonic clock.
SAME_CLOCK_S = 0.1
STALE_HOUR = "stale_hour"


@dataclass(frozen=True, slots=True)
class Exposure:
    """A session that lived on after its secret was reset."""

    since: float
    until: float


@dataclass(slots=True)
class Messages:
    """One device's uplinks by sequence number; `sent_at` also knows when one was dropped instead."""

    sent: Counter[int] = field(default_factory=Counter)
    sent_at: dict[int, float] = field(default_factory=dict)
    acknowledged: set[int] = field(default_factory=set)
    recorded: Counter[int] = field(default_factory=Counter)
    dropped: set[int] = field(default_factory=set)

    def bad(self, stat: str) -> list[int]:
        """The sequence numbers that a statistic counts."""
        match stat:
            case "sent":
                return list(self.sent)
            case "lost":
                return [seq for seq in self.acknowledged if not self.recorded[seq]]
            case "unconfirmed":
                return [seq for seq in self.sent if seq not in self.acknowledged]
            case "duplicated":
                return [seq for seq, times in self.recorded.items() if times > 1]
            case "dropped":
                return list(self.dropped)
            case _:  # unexplained: recorded more often than it was sent
                return [seq for seq, times in self.recorded.items() if times > self.sent[seq]]


@dataclass(slots=True)
class Downlinks:
    """One device's messages from the platform that expect no answer, by sequence number."""

    sent_at: dict[int, float] = field(default_factory=dict)
    queued: set[int] = field(default_factory=set)
    received: Counter[int] = field(default_factory=Counter)

    def bad(self, stat: str) -> list[int]:
        """The sequence numbers that a statistic counts."""
        match stat:
            case "queued":
                return list(self.queued)
            case "lost":
                return [seq for seq in self.sent_at if not self.received[seq]]
            case "duplicated":
                return [seq for seq in self.sent_at if self.received[seq] > 1]
            case _:  # sent
                return list(self.sent_at)


def _was_right(refusal: Record) -> bool:
    """A refusal for a stale hour, of a device whose secret the platform would have taken."""
    return bool(refusal["reason"] == STALE_HOUR and refusal.get("secret_was_right", True))


@dataclass(slots=True)
class _Session:
    slot: str
    version: int
    stale_since: float | None = None


class Books:
    """What both journals say together."""

    def __init__(self, device_records: Iterable[Record], platform_records: Iterable[Record]) -> None:
        self._messages: defaultdict[str, Messages] = defaultdict(Messages)
        self._downlinks: defaultdict[str, Downlinks] = defaultdict(Downlinks)
        self._exposures: defaultdict[str, list[Exposure]] = defaultdict(list)
        self._misjudged: defaultdict[str, list[float]] = defaultdict(list)
        self._sessions: dict[str, _Session] = {}
        self._offset = 0.0
        self._end = 0.0
        self.lost_records = 0
        self.elsewhere: str | None = None
        """The broker whose devices the platform judged without hearing their messages, if there was one."""
        self._take_devices(device_records)
        self._take_platform(platform_records)

    def exposures(self, device_id: str) -> list[Exposure]:
        return self._exposures.get(device_id, [])

    def tally(self, metric: str, stat: str, device_id: str, since: float, until: float) -> int:
        """Count for one device between two times; a message belongs to when it was first sent."""
        if metric == "misjudged":
            times = self._misjudged.get(device_id, [])
            return bisect_right(times, until) - bisect_right(times, since)
        if metric == "stale_sessions":
            return sum(since <= one.since <= until for one in self.exposures(device_id))
        book = self._downlinks if metric == "downlinks" else self._messages
        messages = book.get(device_id)
        if messages is None:
            return 0
        return sum(since <= messages.sent_at.get(seq, since) <= until for seq in messages.bad(stat))

    # -- the devices' side

    def _take_devices(self, records: Iterable[Record]) -> None:
        for record in records:
            match record["kind"]:
                case "header":
                    self._offset = record["wall"] - record["monotonic"]
                case "sent":
                    messages = self._messages[record["device"]]
                    for seq in range(record["first"], record["last"] + 1):
                        messages.sent[seq] += 1
                        messages.sent_at.setdefault(seq, record["t"])
                case "acked":
                    acknowledged = range(record["first"], record["last"] + 1)
                    self._messages[record["device"]].acknowledged.update(acknowledged)
                case "received" if type(record["seq"]) is int:
                    self._downlinks[record["device"]].received[record["seq"]] += 1
                case "dropped" if record["seq"] is not None:
                    messages = self._messages[record["device"]]
                    messages.dropped.add(record["seq"])
                    messages.sent_at.setdefault(record["seq"], record["t"])
                case "ended":
                    self.lost_records = max(self.lost_records, record.get("platform_records_lost") or 0)
            self._end = record["t"]

    # -- the platform's side

    def _take_platform(self, records: Iterable[Record]) -> None:
        shift = 0.0
        for record in records:
            if record["kind"] == "header":
                self._end_sessions(record["t"] + shift)
                shift = record["wall"] - record["monotonic"] - self._offset
                shift = 0.0 if abs(shift) < SAME_CLOCK_S else shift
            else:
                self._take_platform_record(record, record["t"] + shift)
        self._end_sessions(self._end)

    def _take_platform_record(self, record: Record, t: float) -> None:
        device_id: str = record.get("device") or ""
        match record["kind"]:
            case "accepted":
                self._end_session(device_id, t)
                self._sessions[device_id] = _Session(record["slot"], record["version"])
                self.elsewhere = record.get("via") or self.elsewhere
            case "registered" | "registration_updated" if record["version"] is not None:
                self._registered(device_id, record["version"], t)
            case "detached" | "unregistered" | "session_ended":
                self._end_session(device_id, t)
            case "reset":
                session = self._sessions.get(device_id)
                if session and session.slot == record["slot"] and not record["cut"]:
                    session.stale_since = session.stale_since or t
            case "provisioned":
                self._replaced(device_id, record, t)
            case "gap":
                self.lost_records += record["lost"]
            case "refused" if _was_right(record) and device_id:
                self._misjudged[device_id].append(t)
            case "uplink" | "downlink":
                self._take_message(device_id, record, t)

    def _registered(self, device_id: str, version: int, t: float) -> None:
        """An NB-IoT device has proved its primary secret; a refreshed registration on the same one goes on."""
        session = self._sessions.get(device_id)
        if session is None or session.version != version:
            self._end_session(device_id, t)
            self._sessions[device_id] = _Session("primary", version)

    def _take_message(self, device_id: str, record: Record, t: float) -> None:
        match record["kind"]:
            case "uplink" if record["qos"]:
                recorded = self._messages[device_id].recorded
                recorded.update(range(record["first"], record["last"] + 1))
            case "downlink" if "seq" in record:
                downlinks = self._downlinks[device_id]
                downlinks.sent_at[record["seq"]] = t
                if record["queued"]:
                    downlinks.queued.add(record["seq"])

    def _replaced(self, device_id: str, record: Record, t: float) -> None:
        """Registering a device anew replaces its secrets under the feet of its session."""
        session = self._sessions.get(device_id)
        if session and (record[session.slot] or {}).get("version") != session.version:
            session.stale_since = session.stale_since or t

    def _end_sessions(self, t: float) -> None:
        for device_id in list(self._sessions):
            self._end_session(device_id, t)

    def _end_session(self, device_id: str, t: float) -> None:
        session = self._sessions.pop(device_id, None)
        if session is not None and session.stale_since is not None:
            self._exposures[device_id].append(Exposure(session.stale_since, t))
