"""Small builders for tests of the simulator."""

from collections.abc import Iterable

from simulator.device.actions import OpenLink
from simulator.device.backoff import Backoff, Shape
from simulator.device.events import (
    Accepted,
    Cause,
    Event,
    LinkLost,
    Refused,
    SecretIssued,
    Started,
    Stopped,
    Unreachable,
)
from simulator.device.keyring import Candidate, Fallback, Keyring, Slot
from simulator.device.lifecycle import Device, State
from simulator.device.profiles import Profile

WAIT_S = 5.0
PLAIN = Profile("plain", "no firmware at all", Backoff(Shape.FIXED, base_s=WAIT_S))


def a_device(
    *,
    profile: Profile = PLAIN,
    primary: str = "primary-0",
    secondary: str | None = None,
    fallback: Fallback = Fallback.PRIMARY_THEN_SECONDARY,
    seed: int = 1,
    device_id: str = "device-1",
) -> Device:
    return Device(device_id, Keyring.of(primary, secondary, fallback), profile, seed)


def tell(device: Device, events: Iterable[Event], now: float = 0.0) -> list[Candidate]:
    """Let events happen; give what the device presented on the way."""
    actions = [action for event in events for action in device.handle(event, now)]
    return [action.candidate for action in actions if isinstance(action, OpenLink)]


def refuse(device: Device, cause: Cause = Cause.CREDENTIAL, now: float = 0.0) -> list[Candidate]:
    return tell(device, [Refused(device.attempt, cause, 4)], now)


def accept(device: Device) -> None:
    tell(device, [Accepted(device.attempt)])


def issue(device: Device, slot: Slot, secret: str) -> list[Candidate]:
    return tell(device, [SecretIssued(slot, secret)])


def lose(device: Device, now: float = 0.0) -> None:
    tell(device, [LinkLost(device.attempt, "reset by peer")], now)


def bring_to(device: Device, state: State) -> Device:
    """Lead a new device into a state by what can really happen; HALTED takes a profile that halts."""
    if state is not State.IDLE:
        tell(device, [Started()])
    match state:
        case State.ONLINE:
            accept(device)
        case State.WAITING:
            tell(device, [Unreachable(device.attempt, "nobody there")])
        case State.LOCKED_OUT:
            while device.state is State.CONNECTING:
                refuse(device)
        case State.HALTED:
            refuse(device, Cause.NOT_ALLOWED)
        case State.STOPPED:
            tell(device, [Stopped()])
    assert device.state is state
    return device
