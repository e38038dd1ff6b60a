"""The journal read as a sequential machine: what each record must have found. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.broker.races.facts import Record

CUT_BY = {"forced_reset": "reset", "frozen": "frozen", "deleted": "deleted", "take_over": "accepted"}
"""The record that follows at once, among those of its device, when a session ended like this."""


@dataclass(slots=True)
class Session:
    peer: str
    slot: str
    version: int
    messages: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Device:
    """One device at one place of the journal; `secrets` is slot → (version, fingerprint)."""

    exists: bool = False
    frozen: bool = False
    secrets: dict[str, tuple[int, str]] = field(default_factory=dict)
    session: Session | None = None
    cut_for: str | None = None

    def lets_in(self, fingerprint: str) -> bool:
        return self.exists and not self.frozen and fingerprint in [known for _, known in self.secrets.values()]


class Replay:
    """Goes through a journal; `violations` is what does not follow from what came before it.

    `fingerprints` tells which secret came from which peer. Afterwards `judged` has the place of each peer's verdict,
    and `sessions` all that were accepted. `side_by_side` judges several processes: while one has cut a session and
    tells the others why, another may still refuse somebody, by what is in force there and in the journal.
    """

    def __init__(self, records: Sequence[Record], fingerprints: dict[str, str], *, side_by_side: bool = False) -> None:
        self.violations: list[str] = []
        self.judged: dict[str, int] = {}
        self.sessions: dict[str, Session] = {}
        self._fingerprints = fingerprints
        self._side_by_side = side_by_side
        self._devices: dict[str, Device] = {}
        for place, record in enumerate(records):
            if "device" in record and (problem := self._problem(place, record)):
                self.violations.append(f"record {place}, {record['kind']} of {record['device']}: {problem}")

    def _problem(self, place: int, record: Record) -> str:
        device = self._devices.setdefault(record["device"], Device())
        kind, cut_for = record["kind"], device.cut_for
        device.cut_for = None
        if kind == "refused" and self._side_by_side:
            device.cut_for, cut_for = cut_for, None
        if kind in ("accepted", "refused"):
            self.judged[record["peer"]] = place
        problems = list(getattr(self, f"_{kind}")(device, record, cut_for))
        if cut_for not in (None, kind):
            problems.append(f"a session was cut for {cut_for} right before")
        return "; ".join(problems)

    def _provisioned(self, device: Device, record: Record, _: str | None) -> Iterator[str]:
        device.exists, device.frozen = True, False
        slots = {slot: record[slot] for slot in ("primary", "secondary") if record[slot]}
        device.secrets = {slot: (one["version"], one["fingerprint"]) for slot, one in slots.items()}
        yield from ()

    def _created(self, device: Device, record: Record, _: str | None) -> Iterator[str]:
        if device.exists:
            yield "it existed"
        if device.session:
            yield "it had a session"
        yield from self._provisioned(device, record, None)

    def _accepted(self, device: Device, record: Record, _: str | None) -> Iterator[str]:
        before = device.session
        session = Session(record["peer"], record["slot"], record["version"])
        device.session = self.sessions[session.peer] = session
        if before is not None:
            yield f"a second session, beside that of {before.peer}"
        if not device.exists or device.frozen:
            yield "it was frozen or deleted"
        presented = self._fingerprints.get(session.peer)
        if device.secrets.get(session.slot) != (session.version, presented):
            yield f"{session.slot} version {session.version} was not in force, or was not presented"

    def _refused(self, device: Device, record: Record, _: str | None) -> Iterator[str]:
        presented = self._fingerprints.get(record["peer"], "")
        if device.lets_in(presented):
            yield "it presented a secret in force"

    def _detached(self, device: Device, record: Record, _: str | None) -> Iterator[str]:
        session, device.session = device.session, None
        device.cut_for = CUT_BY.get(record["reason"])
        if session is None or (session.peer, session.slot, session.version) != (
            record["peer"],
            record["slot"],
            record["version"],
        ):
            yield f"that was not its session: {record['peer']}"

    def _uplink(self, device: Device, record: Record, _: str | None) -> Iterator[str]:
        if device.session is None:
            yield "a message without a session"
        else:
            device.session.messages.update(range(record["first"], record["last"] + 1))

    def _reset(self, device: Device, record: Record, cut_for: str | None) -> Iterator[str]:
        version, _ = device.secrets.get(record["slot"], (0, ""))
        device.secrets[record["slot"]] = (record["version"], record["fingerprint"])
        if not device.exists:
            yield "it did not exist"
        if record["version"] != version + 1:
            yield f"version {record['version']} after {version}"
        if record["cut"] != (cut_for is not None):
            yield "whether a session was cut is told wrongly"
        if record["forced"] and device.session is not None:
            yield f"the session of {device.session.peer} lived on"

    def _frozen(self, device: Device, _: Record, __: str | None) -> Iterator[str]:
        if device.frozen or not device.exists:
            yield "it was frozen or deleted"
        if device.session is not None:
            yield f"the session of {device.session.peer} lived on"
        device.frozen = True

    def _unfrozen(self, device: Device, _: Record, __: str | None) -> Iterator[str]:
        if not device.frozen:
            yield "it was not frozen"
        device.frozen = False

    def _deleted(self, device: Device, _: Record, __: str | None) -> Iterator[str]:
        if device.session is not None:
            yield f"the session of {device.session.peer} lived on"
        device.exists, device.frozen, device.secrets = False, False, {}
