"""`--set path=value`: one value of a scenario, given on the command line. Steps go by number or by id."""

from typing import Any

from simulator.scenario.document import Document, read
from simulator.scenario.errors import Place, ScenarioError
from simulator.scenario.explain import keys_at
from simulator.scenario.strict import Location
from simulator.suggestions import did_you_mean


def override(document: Document, text: str) -> None:
    """Put the value of "path=value" into the document; raises ScenarioError naming the override."""
    path, equals, written = text.partition("=")
    place = Place(f"--set {text}")
    if not equals or not all(path.split(".")):
        raise ScenarioError([place.report("path=value is needed, e.g. fleets.meters.count=100")])
    try:
        value = read(written, place.source).value
    except ScenarioError:
        raise ScenarioError([place.report("the value is not valid YAML; quotes may help")]) from None
    parent: Any = document.value
    location: Location = ()
    *above, last = path.split(".")
    for part in above:
        key = _key(parent, location, part, place)
        location = (*location, key)
        if isinstance(parent, dict) and parent.get(part) is None:
            parent[key] = {}
            _replace_place(document, location, place)
        parent = parent[key]
    key = _key(parent, location, last, place)
    parent[key] = value
    _replace_place(document, (*location, key), place)


def _key(parent: Any, location: Location, part: str, place: Place) -> int | str:
    """The key or index that `part` means in `parent`; optional keys that are not there yet count."""
    known: list[str] = []
    if isinstance(parent, dict):
        known = [*parent, *(keys_at(location) or ())]
        if part in known:
            return part
    elif isinstance(parent, list):
        known = [str(item.get("id", "")) if isinstance(item, dict) else "" for item in parent]
        if part in known:
            return known.index(part)
        if part.isdecimal() and len(part) < 10 and int(part) < len(parent):
            return int(part)
    where = f" in {'.'.join(map(str, location))}" if location else ""
    raise ScenarioError([place.report(f"there is no {part!r}{where}{did_you_mean(part, known)}")])


def _replace_place(document: Document, location: Location, place: Place) -> None:
    for known in [known for known in document.places if known[: len(location)] == location]:
        del document.places[known]
    document.places[location] = place
