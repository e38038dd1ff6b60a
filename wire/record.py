"""Immutable data that is made by the hundred thousand."""

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[T]) -> type[T]:
    """A frozen dataclass to the type checker; at run time one with slots that nobody assigns to.

    `frozen` itself takes a call to `object.__setattr__` for every field of every object: three to five times as long.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)
