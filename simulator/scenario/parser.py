"""A scenario file, or the name of a packaged scenario, into a `Scenario`."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from simulator.scenario.document import Document, read
from simulator.scenario.errors import ScenarioError
from simulator.scenario.explain import explained
from simulator.scenario.model import Scenario
from simulator.scenario.overrides import override
from simulator.suggestions import hint

LARGEST_FILE = 1_048_576

_HERE = Path(__file__).parent


def load(source: str | Path, *, overrides: Sequence[str] = (), seed: int | None = None) -> Scenario:
    """Read and check a scenario; raises ScenarioError with every problem found.

    `source`: a path, or a packaged scenario's name (which wins over a file of that name).
    `overrides`: "path=value" each, as in `--set`.
    """
    path = _locate(source)
    text = _text(path)
    document = read(text.replace("\t", " ") if path.suffix == ".json" else text, str(path))
    _check_shape(document)
    for one in overrides if seed is None else [*overrides, f"seed={seed}"]:
        override(document, one)
    _anchor_overridden_files(document)
    try:
        return Scenario.model_validate(document.value, context={"directory": path.parent})
    except ValidationError as error:
        raise explained(error, document) from None


def packaged() -> dict[str, Path]:
    """The scenarios that come with the program, by name: an installed wheel's, or the checkout's."""
    packs = _HERE / "packs"
    folder = packs if packs.is_dir() else _HERE.parents[1] / "scenarios"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def _anchor_overridden_files(document: Document) -> None:
    """On the command line a relative path starts at the current folder, in a scenario at the scenario's."""
    fleets = document.value.get("fleets")
    for name, fleet in fleets.items() if isinstance(fleets, dict) else ():
        file = fleet.get("devices") if isinstance(fleet, dict) else None
        if isinstance(file, str) and document.place(("fleets", name, "devices")).is_override:
            fleet["devices"] = Path(file).absolute()


def _locate(source: str | Path) -> Path:
    if isinstance(source, Path):
        return source
    packs = packaged()
    if source in packs:
        return packs[source]
    path = Path(source)
    is_name = source == path.name and not path.suffix
    if is_name and not path.exists():
        raise ScenarioError([f"{source}: neither a file nor a packaged scenario{hint(source, packs, 'packaged ones')}"])
    return path


def _text(path: Path) -> str:
    content = _content(path)
    if len(content) > LARGEST_FILE:
        raise ScenarioError([f"{path}: larger than {LARGEST_FILE} bytes, which no scenario is"])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = content[: error.start].count(b"\n") + 1
        raise ScenarioError([f"{path}:{row}: not UTF-8 text (byte 0x{content[error.start]:02x})"]) from None


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        reason = "no such file"
    except IsADirectoryError:
        reason = "a directory, not a scenario file"
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
    except ValueError:
        reason = "not a path"
    raise ScenarioError([f"{path}: {reason}"])


def _check_shape(document: Document) -> None:
    if document.value is None:
        raise ScenarioError([f"{document.source}: empty; a scenario needs name, fleets and timeline"])
    if not isinstance(document.value, dict):
        message = "a scenario is a mapping with name, fleets and timeline"
        raise ScenarioError([document.place(()).report(message)])
