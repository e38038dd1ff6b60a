"""The oracle: what the records of a run mean for every device. Pure, and the same live and after the run.

It works from the device side's journal alone: the devices' own records and the runner's ledger (what it provisioned,
what it reset, what was answered). Secrets appear as fingerprints. What needs the platform's journal is in `books`.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from simulator.facts import DeviceFacts, StepFacts, Window

Record = dict[str, Any]

SLOTS = ("primary", "secondary")


class Oracle:
    """Feed it every record of the device side's journal, in order."""

    def __init__(self) -> None:
        self.devices: dict[str, DeviceFacts] = {}
        self.steps: dict[str, StepFacts] = {}
        self.fleets: dict[str, list[DeviceFacts]] = defaultdict(list)
        self.connects: defaultdict[tuple[str | None, str], Counter[int]] = defaultdict(Counter)
        self.lags: list[tuple[float, float]] = []
        self.header: Record = {}
        self.crashes: list[Record] = []
        self.ended_at = 0.0
        self.settled_at: float | None = None
        self._run_kinds: dict[str, Callable[[Record], None]] = {
            "header": self._header,
            "device": self._device,
            "step": self._step,
            "lag": self._lag,
            "crash": self._crash,
            "settled": self._settled,
        }
        self._device_kinds: dict[str, Callable[[DeviceFacts, Record], None]] = {
            "action": self._action,
            "opened": self._opened,
            "accepted": self._accepted,
            "refused": self._refused,
            "unreachable": self._unreachable,
            "lost": self._lost,
            "recovered": self._recovered,
            "state": self._state,
            "issued": self._issued,
            "reset": self._reset,
        }

    def feed(self, record: Record) -> None:
        """Take one record in; kinds that say nothing about a device's standing are passed over."""
        self.ended_at = record["t"]
        kind = record["kind"]
        if handle := self._device_kinds.get(kind):
            if self.settled_at is not None:
                return
            device = self.devices.get(record["device"])
            if device is not None:
                handle(device, record)
        elif take := self._run_kinds.get(kind):
            take(record)

    def feed_all(self, records: Iterable[Record]) -> "Oracle":
        for record in records:
            self.feed(record)
        return self

    # -- the run

    def _header(self, record: Record) -> None:
        self.header = record

    def _lag(self, record: Record) -> None:
        first, every = record["first"], record["every"]
        self.lags += ((first + number * every, lag) for number, lag in enumerate(record["samples"]))

    def _crash(self, record: Record) -> None:
        self.crashes.append(record)

    def _settled(self, record: Record) -> None:
        """Nothing is done to the devices from here on: what follows is the fleet being switched off."""
        self.settled_at = record["t"]
        for device in self.devices.values():
            for window in device.current_windows():
                window.closed, window.standing = record["t"], device.standing()

    def _device(self, record: Record) -> None:
        held = [(slot, record[slot], False) for slot in SLOTS if record.get(slot)]
        accepted = {slot: record[f"platform_{slot}"] for slot in SLOTS if record.get(f"platform_{slot}")}
        device = DeviceFacts(
            record["device"],
            record["fleet"],
            record.get("protocol", "MQTT"),
            frozenset(record["presents"]),
            held,
            accepted,
            Window("", record["t"]),
        )
        self.devices[device.device_id] = device
        self.fleets[device.fleet].append(device)

    def _step(self, record: Record) -> None:
        name = record["step"]
        if record["state"] == "started":
            self.steps[name] = StepFacts(name, record["verb"], tuple(record["fleets"]), record["t"])
            return
        step = self.steps.setdefault(name, StepFacts(name, record["verb"], (), record["t"]))
        step.state, step.detail, step.ended = record["state"], record.get("detail", ""), record["t"]

    # -- a device

    def _action(self, device: DeviceFacts, record: Record) -> None:
        if device.windows:
            last = device.windows[-1]
            last.closed, last.standing = record["t"], device.standing()
        device.windows.append(Window(record["step"], record["t"]))
        device.intended_at = record.get("intended")

    def _opened(self, device: DeviceFacts, record: Record) -> None:
        device.state = "connecting"
        device.opened_at = record["t"]
        for window in device.current_windows():
            window.connects += 1
        second = int(record["t"])
        self.connects[None, device.fleet][second] += 1
        if device.windows:
            self.connects[device.windows[-1].step, device.fleet][second] += 1

    def _accepted(self, device: DeviceFacts, record: Record) -> None:
        secret, slot = record["fingerprint"], record["slot"]
        retired = device.retired.get(secret)
        old = retired is not None and device.opened_at > retired and secret not in device.accepted.values()
        begun = device.opened_at if device.intended_at is None else device.intended_at
        for window in device.current_windows():
            window.latencies.append(record["t"] - begun)
            window.old_accepted += old
        device.intended_at = None
        device.state, device.presented, device.accepted_at = "online", slot, record["t"]
        device.locked_out = device.recovered = False
        if secret is not None and (slot, secret, False) not in device.held:
            device.hold(slot, secret, staged=False)

    def _refused(self, device: DeviceFacts, record: Record) -> None:
        """Refused: as a newcomer, or, as a registration's update can be, out of being online."""
        if device.connected:
            self._lost(device, record)
        device.state = "waiting"
        for window in device.current_windows():
            window.refused[record["cause"]] += 1

    def _unreachable(self, device: DeviceFacts, _record: Record) -> None:
        device.state = "waiting"
        for window in device.current_windows():
            window.unreachable += 1

    def _lost(self, device: DeviceFacts, record: Record) -> None:
        device.state, device.recovered = "waiting", False
        if device.lost_at is None:
            device.lost_at, device.lost_in = record["t"], device.current_windows()[-1]

    def _recovered(self, device: DeviceFacts, record: Record) -> None:
        device.recovered = True
        if device.windows and device.accepted_at >= device.windows[-1].opened:
            device.windows[-1].recovered = True
        device.end_outage(record["t"])

    def _state(self, device: DeviceFacts, record: Record) -> None:
        device.state = record["state"]
        device.locked_out = device.state == "locked_out"
        device.recovered = False
        if device.state == "stopped":
            device.end_outage(record["t"])

    def _issued(self, device: DeviceFacts, record: Record) -> None:
        device.locked_out = False
        device.hold(record["slot"], record["fingerprint"], staged=True)

    def _reset(self, device: DeviceFacts, record: Record) -> None:
        """Follow the ledger: between the request and its reply the platform may be on either secret."""
        slot, new = record["slot"], record.get("fingerprint")
        if record["state"] == "sent":
            if new:
                device.pending[slot] = new
        elif record["state"] == "answered":
            old = device.accepted.get(slot)
            device.pending.pop(slot, None)
            device.accepted[slot] = record["fingerprint"]
            if old is not None and old not in device.accepted.values():
                device.retired[old] = record["t"]
