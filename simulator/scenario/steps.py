"""The timeline: one step is one verb, with when it starts and when it is done."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from simulator.scenario.strict import Problem, Strict, refuse
from simulator.scenario.values import (
    FleetNames,
    LiveExpectation,
    OneOrMoreFleets,
    PositiveSeconds,
    Seconds,
    SlotName,
    StepId,
    StepIds,
)


class Verb(StrEnum):
    """What a step does."""

    START = "start"
    STOP = "stop"
    RESET_SECRET = "reset_secret"
    DELIVER_SECRET = "deliver_secret"
    RECONNECT = "reconnect"
    NETWORK = "network"
    FREEZE = "freeze"
    UNFREEZE = "unfreeze"
    ADVANCE_CLOCKS = "advance_clocks"
    WAIT = "wait"


# The step's own keys that only some verbs know.
_BELONGS_TO = {"over": (Verb.START, Verb.RECONNECT), "waves": (Verb.RESET_SECRET,)}


class ResetSecret(Strict):
    """Through the control API: `seeded` sends a secret drawn from the seed, `generated` lets the platform choose."""

    fleet: OneOrMoreFleets
    slot: SlotName
    force_disconnect: bool = False
    secret: Literal["seeded", "generated"] = "seeded"


class DeliverSecret(Strict):
    """Tell the devices their slot's newest secret.

    By a `command` over MQTT that is repeated until the device has answered; by a `message`, which the platform takes
    once, and keeps for a device that is away and has a persistent session; or `direct`, out of band.
    """

    fleet: OneOrMoreFleets
    slot: SlotName
    via: Literal["command", "message", "direct"] = "command"


class Reconnect(Strict):
    """Every device closes its link and opens a new one."""

    fleet: OneOrMoreFleets


class Network(Strict):
    """Take the fleet's network away, or give it back."""

    fleet: OneOrMoreFleets
    state: Literal["down", "up"]


class Waves(Strict):
    """Work on `size` devices at a time, a wave each `every` seconds, until `abort_if` is true."""

    size: Annotated[int, Field(ge=1)]
    every: Seconds
    abort_if: LiveExpectation | None = None


Action = Sequence[str] | ResetSecret | DeliverSecret | Reconnect | Network | float


class Step(Strict):
    """One verb. `after`: the steps to wait for; None is the step before, () the start of the run.

    Done when its work is done and `until` holds; failed when that takes longer than `timeout` seconds.
    `over`: seconds across which the devices' starts are spread.
    `advance_clocks`: everybody's wall clock, the platform's too, is put forward by as much.
    """

    id: StepId
    after: StepIds | None = None
    until: LiveExpectation | None = None
    timeout: Seconds = 60.0
    over: Seconds = 0.0
    waves: Waves | None = None
    start: FleetNames | None = None
    stop: FleetNames | None = None
    reset_secret: ResetSecret | None = None
    deliver_secret: DeliverSecret | None = None
    reconnect: Reconnect | None = None
    network: Network | None = None
    freeze: FleetNames | None = None
    unfreeze: FleetNames | None = None
    advance_clocks: PositiveSeconds | None = None
    wait: Seconds | None = None

    @cached_property
    def verb(self) -> Verb:
        """What it does."""
        return self._verbs()[0]

    @property
    def action(self) -> Action:
        """The verb's value: fleets, seconds, or the verb's own model."""
        action: Action = getattr(self, self.verb)
        return action

    @cached_property
    def fleets(self) -> tuple[str, ...]:
        """The fleets it touches."""
        return tuple(self.fleet_places().values())

    def fleet_places(self) -> Mapping[tuple[int | str, ...], str]:
        """The fleets it touches, by their location below the step."""
        match self.action:
            case float():
                return {}
            case (
                ResetSecret(fleet=fleets)
                | DeliverSecret(fleet=fleets)
                | Reconnect(fleet=fleets)
                | Network(fleet=fleets)
            ):
                places = [(index,) if len(fleets) > 1 else () for index in range(len(fleets))]
                return {(self.verb.value, "fleet", *place): fleet for place, fleet in zip(places, fleets, strict=True)}
            case names:
                return {(self.verb.value, index): name for index, name in enumerate(names)}

    def conditions(self) -> Mapping[tuple[str, ...], LiveExpectation]:
        """What is judged while it runs, by its location below the step."""
        found = {("until",): self.until, ("waves", "abort_if"): self.waves and self.waves.abort_if}
        return {location: condition for location, condition in found.items() if condition}

    def _verbs(self) -> list[Verb]:
        return [verb for verb in Verb if getattr(self, verb) is not None]

    @model_validator(mode="after")
    def _check_verb(self) -> Self:
        verbs = self._verbs()
        if not verbs:
            raise ValueError(f"a step needs a verb: {', '.join(Verb)}")
        if len(verbs) > 1:
            raise ValueError(f"a step has one verb, not {' and '.join(verbs)}")
        refuse(
            [
                Problem((key,), f"{key} belongs to {' and '.join(owners)}, not to {verbs[0]}")
                for key, owners in _BELONGS_TO.items()
                if key in self.model_fields_set and verbs[0] not in owners
            ]
        )
        return self
