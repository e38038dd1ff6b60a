"""YAML (and so JSON) into plain data, with the place of every key and value.

Stricter than YAML: no duplicate keys, no aliases, no tags; only true and false are booleans (YAML 1.2).
"""

import re
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from simulator.scenario.errors import Place, ScenarioError
from simulator.scenario.strict import Location

DEEPEST = 32
KEY = "[key]"  # pydantic's own word for "the key, not the value"

_BOOL, _NULL, _INT, _FLOAT = (f"tag:yaml.org,2002:{name}" for name in ("bool", "null", "int", "float"))


@dataclass(slots=True)
class Document:
    """What a text says. `places` has the value of every path, and its key under `(*path, KEY)`."""

    source: str
    lines: list[str] = field(repr=False)
    value: Any = None
    places: dict[Location, Place] = field(default_factory=dict, repr=False)
    problems: list[str] = field(default_factory=list)

    def place(self, location: Location) -> Place:
        """The place of the nearest part of the location that is written down."""
        while location and location not in self.places:
            location = location[:-1]
        return self.places.get(location, Place(self.source))


def read(text: str, source: str) -> Document:
    """Read one document; raises ScenarioError with every duplicate key, or the first syntax error."""
    document = Document(source, text.splitlines())
    node = _compose(document, text)
    if node is not None:
        document.value = _value(document, node, ())
    if document.problems:
        raise ScenarioError(document.problems)
    return document


class _RefusedError(yaml.MarkedYAMLError):
    """Good YAML that a scenario may not use."""


class _Loader(yaml.SafeLoader):
    """SafeLoader with YAML 1.2's few plain scalars, and without what a scenario has no use for."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - the base class reads it from the class
        None: [
            (_BOOL, re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z")),
            (_NULL, re.compile(r"(?:~|null|Null|NULL)?\Z")),
            (_INT, re.compile(r"[-+]?[0-9]{1,19}\Z")),
            (_FLOAT, re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")),
        ]
    }
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call] # the stubs leave it out
        if isinstance(event, yaml.AliasEvent):
            self._refuse(event, f"an alias (*{event.anchor}) is not allowed; write the value out")
        if getattr(event, "tag", None) is not None:
            self._refuse(event, f"a tag ({event.tag}) is not allowed")
        self.depth += 1
        if self.depth > DEEPEST:
            self._refuse(event, f"nested more than {DEEPEST} levels deep")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    @staticmethod
    def _refuse(event: Any, message: str) -> NoReturn:
        raise _RefusedError(problem=message, problem_mark=event.start_mark)


def _compose(document: Document, text: str) -> yaml.Node | None:
    try:
        loader = _Loader(text)
    except yaml.reader.ReaderError as error:
        rows = text[: error.position].splitlines() or [""]
        row, column = len(rows) - 1, len(rows[-1])
        message = f"the character {chr(int(error.character))!r} is not allowed"
        raise ScenarioError([Place(document.source, _line(document, row), row, column).report(message)]) from None
    try:
        return loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(document, error.problem_mark or error.context_mark, _reason(error)) from None
    except (ValueError, OverflowError):  # PyYAML does not check the numbers in escapes and directives
        raise _syntax_error(document, loader.get_mark(), "a number out of range") from None


def _reason(error: yaml.MarkedYAMLError) -> str:
    reason = str(error.problem or error.context)
    if isinstance(error, _RefusedError):
        return reason
    if r"'\t'" in reason:
        return "a tab, where YAML takes only spaces"
    return f"not valid YAML: {reason}"


def _syntax_error(document: Document, mark: Any, message: str) -> ScenarioError:
    """A problem at PyYAML's mark, which is None only when the whole text is to blame."""
    row, column = (mark.line, mark.column) if mark else (0, 0)
    return ScenarioError([Place(document.source, _line(document, row), row, column).report(message)])


def _line(document: Document, row: int) -> str:
    return document.lines[row] if row < len(document.lines) else ""


def _value(document: Document, node: yaml.Node, at: Location) -> Any:
    document.places[at] = _place(document, node)
    match node:
        case yaml.MappingNode():
            return _mapping(document, node, at)
        case yaml.SequenceNode():
            return [_value(document, item, (*at, index)) for index, item in enumerate(node.value)]
        case _:
            return _scalar(document, node)


def _mapping(document: Document, node: yaml.MappingNode, at: Location) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    for key_node, value_node in node.value:
        place = _place(document, key_node)
        if not isinstance(key_node, yaml.ScalarNode):
            document.problems.append(place.report("a key is a word, not a list or a mapping"))
            continue
        key = _text(document, key_node)
        if key in mapping:
            first = document.places[*at, key, KEY].row or 0
            document.problems.append(place.report(f"the key {key!r} is here twice, first in line {first + 1}"))
            continue
        document.places[*at, key, KEY] = place
        mapping[key] = _value(document, value_node, (*at, key))
    return mapping


def _scalar(document: Document, node: yaml.Node) -> object:
    match node.tag:
        case _ if node.tag == _BOOL:
            return node.value.lower() == "true"
        case _ if node.tag == _NULL:
            return None
        case _ if node.tag == _INT:
            return int(node.value)
        case _ if node.tag == _FLOAT:
            return float(node.value)
        case _:
            return _text(document, node)


def _text(document: Document, node: yaml.Node) -> str:
    """JSON writes a letter beyond the basic plane as two escapes, which PyYAML leaves apart."""
    try:
        return str(node.value).encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        document.problems.append(_place(document, node).report("half of a surrogate pair is no character"))
        return ""


def _place(document: Document, node: yaml.Node) -> Place:
    row, column = node.start_mark.line, node.start_mark.column
    line = _line(document, row)
    text_column = column + 1 if getattr(node, "style", None) in ("'", '"') else column
    literal = isinstance(node, yaml.ScalarNode) and line.startswith(node.value, text_column)
    return Place(document.source, line, row, column, text_column if literal else None)
