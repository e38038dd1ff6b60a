"""What pydantic found, in the words of someone who writes scenarios, and at the place in the file."""

import types
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from simulator.expectations import ExpectationError
from simulator.scenario.document import KEY, Document
from simulator.scenario.errors import Place, ScenarioError
from simulator.scenario.model import Scenario
from simulator.scenario.strict import Location
from simulator.scenario.values import said
from simulator.suggestions import did_you_mean, hint

LONGEST_MESSAGE = 400

_NEEDED: dict[str, str] = {
    "string_type": "text is needed",
    "bool_type": "true or false is needed",
    "int_type": "a whole number is needed",
    "dict_type": "a mapping (key: value) is needed",
    "mapping_type": "a mapping (key: value) is needed",
    "model_type": "a mapping (key: value) is needed",
    "is_instance_of": "a list is needed",
    "sequence_str": "a list is needed",
}


def explained(error: ValidationError, document: Document) -> ScenarioError:
    """Every problem that pydantic found, in the order of the document."""
    problems = [(_place(details, document), details) for details in error.errors()]
    problems.sort(key=lambda problem: (problem[0].row or 0, problem[0].column))
    return ScenarioError([_report(place, details) for place, details in problems])


def keys_at(location: Iterable[int | str]) -> Mapping[str, Any] | None:
    """The keys that a scenario may have at this place; None where anything may be named, or nothing."""
    kind: Any = Scenario
    for part in location:
        kind = _below(kind, part)
    return kind.model_fields if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _place(details: ErrorDetails, document: Document) -> Place:
    location = details["loc"]
    return document.place((*location, KEY) if details["type"] == "extra_forbidden" else location)


def _report(place: Place, details: ErrorDetails) -> str:
    context = details.get("ctx", {})
    error = context.get("error")
    column = error.column if isinstance(error, ExpectationError) else context.get("column", 1)
    path = ".".join(str(part) for part in details["loc"] if part != KEY)
    return place.report(_message(details)[:LONGEST_MESSAGE], path=path[:LONGEST_MESSAGE], column=column)


def _message(details: ErrorDetails) -> str:
    kind, context, value = details["type"], details.get("ctx", {}), details["input"]
    if kind in _NEEDED:
        return f"{_NEEDED[kind]}, not {said(value)}"
    if kind in _SENTENCES:
        return _SENTENCES[kind](details["loc"], context, value)
    error = context.get("error")
    if isinstance(error, ExpectationError):
        return error.message
    return str(error) if error else details["msg"]


def _unknown_key(location: Location, _: Mapping[str, Any], __: object) -> str:
    key, known = str(location[-1]), keys_at(location[:-1]) or {}
    return f"unknown key {key!r}{hint(key, known, 'keys')}"


def _unknown_word(_: Location, context: Mapping[str, Any], value: object) -> str:
    expected = str(context["expected"])
    words = expected.replace(" or ", ", ").replace("'", "").split(", ")
    return f"{expected} is needed, not {said(value)}{did_you_mean(str(value), words)}"


_SENTENCES: dict[str, Callable[[Location, Mapping[str, Any], object], str]] = {
    "extra_forbidden": _unknown_key,
    "literal_error": _unknown_word,
    "enum": _unknown_word,
    "missing": lambda *_: "needed, but missing",
    "too_short": lambda *_: "at least one is needed",
    "greater_than_equal": lambda _, context, value: f"at least {context['ge']} is needed, not {value}",
    "less_than_equal": lambda _, context, value: f"at most {context['le']} is allowed, not {value}",
}


def _below(kind: Any, part: int | str) -> Any:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        field = kind.model_fields.get(str(part))
        return _bare(field.annotation) if field else None
    inner = get_args(kind)
    return _bare(inner[-1]) if inner else None


def _bare(kind: Any) -> Any:
    """The type without Annotated and without "or None"."""
    wrapped = get_origin(kind) in (Annotated, Union, types.UnionType)
    return _bare(get_args(kind)[0]) if wrapped else kind
