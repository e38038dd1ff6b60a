"""What steps and expectations ask of a platform beside MQTT, and who asks for more than it has. Pure."""

from collections.abc import Collection, Iterator, Sequence
from enum import StrEnum

from simulator.expectations import Expectation
from simulator.metrics import METRICS
from simulator.scenario.steps import DeliverSecret, Step, Verb
from simulator.scenario.strict import Problem


class Supply(StrEnum):
    """What only some platforms have."""

    CONTROL_API = "a control API"
    OWN_API = "keyturn's own API"
    JOURNAL = "the platform's journal"


BEYOND_MQTT = frozenset(Supply)
KEYTURNS_OWN = frozenset({Supply.OWN_API, Supply.JOURNAL})


def unmet(
    timeline: Sequence[Step], expect: Sequence[Expectation], lacking: Collection[Supply], because: str
) -> Iterator[Problem]:
    """Who needs what the platform is lacking; `because` says which platform that is, and why it does."""
    for index, step in enumerate(timeline):
        supply = _needed_by(step)
        if supply in lacking:
            message = f"step {step.id!r} needs {supply}, but {because}"
            yield Problem(("timeline", index, step.verb.value), message)
    for index, expectation in enumerate(expect):
        metric = METRICS[expectation.metric]
        if metric.needs_platform_journal and Supply.JOURNAL in lacking:
            behind_step = expectation.text.find(":") + 1
            column = expectation.text.index(metric.name, behind_step) + 1
            yield Problem(("expect", index), f"{metric.name} needs {Supply.JOURNAL}, but {because}", column)


def _needed_by(step: Step) -> Supply | None:
    match step.verb:
        case Verb.RESET_SECRET | Verb.FREEZE | Verb.UNFREEZE:
            return Supply.CONTROL_API
        case Verb.DELIVER_SECRET:
            assert isinstance(step.action, DeliverSecret), "the verb's own model"
            return None if step.action.via == "direct" else Supply.OWN_API
        case Verb.ADVANCE_CLOCKS:
            return Supply.OWN_API
        case _:
            return None
