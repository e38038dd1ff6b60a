"""The base of every scenario model, and how one check reports several problems, each at its own place."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

Location = tuple[int | str, ...]


class Strict(BaseModel):
    """Unknown keys and foreign types are errors; nothing changes after it was read."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, where below the model that reports it, and from which column of the value (1 = its start)."""

    location: Location
    message: str
    column: int = 1


def refuse(problems: Sequence[Problem]) -> None:
    """Raise all problems as one error; pydantic puts the path of the model in front of each location."""
    if problems:
        raise ValidationError.from_exception_data("scenario", [_details(problem) for problem in problems])


def repeated(values: Iterable[Hashable]) -> list[int]:
    """The positions of values that were there before."""
    first: dict[Hashable, int] = {}
    return [index for index, value in enumerate(values) if first.setdefault(value, index) != index]


def _details(problem: Problem) -> InitErrorDetails:
    context = {"message": problem.message, "column": problem.column}
    kind = PydanticCustomError("problem", "{message}", context)
    return InitErrorDetails(type=kind, loc=problem.location, input=None)
