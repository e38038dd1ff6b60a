"""The house rules as data: who may import whom, and how large a file or a function may grow."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("wire", "simulator", "broker")
MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 50
VAGUE_NAMES = {"common", "helper", "helpers", "misc", "util", "utils"}


@dataclass(frozen=True, slots=True)
class Rule:
    """Modules under `scope`, apart from `exempt`, never import anything under `never`, apart from `allowed`.

    A name stands for the module and everything below it. With `transitive`, what the imported modules of
    ours import counts too.
    """

    says: str
    scope: tuple[str, ...]
    never: tuple[str, ...]
    exempt: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    transitive: bool = False


PURE = (
    "wire",
    "simulator.device",
    "simulator.oracle",
    "simulator.expectations",
    "simulator.metrics",
    "simulator.credentials",
    "simulator.dialects",
    "simulator.links.lwm2m.answers",
    "simulator.links.lwm2m.client",
    "simulator.links.lwm2m.options",
    "simulator.links.lwm2m.power",
    "simulator.signer",
    "broker.auth",
    "broker.hooks.calls",
    "broker.hooks.engine",
    "broker.hooks.rules",
)
IMPURE = (
    "asyncio",
    "logging",
    "random",
    "select",
    "selectors",
    "socket",
    "subprocess",
    "threading",
    "time",
    "uvloop",
)

RULES = (
    Rule("wire imports nothing of ours", ("wire",), ("simulator", "broker", "tests")),
    Rule("simulator never imports broker", ("simulator",), ("broker",), exempt=("simulator.embedded",)),
    Rule("broker never imports simulator", ("broker",), ("simulator",)),
    Rule("pure modules do no input or output", PURE, IMPURE, transitive=True),
    Rule(
        "fleet knows no concrete link",
        ("simulator.fleet",),
        ("simulator.links",),
        allowed=("simulator.links.link",),
    ),
    Rule("the live page cannot reach the fleet", ("simulator.live",), ("simulator.fleet",)),
    Rule(
        "only entry points import the wiring",
        PACKAGES,
        ("simulator.cli", "simulator.__main__", "broker.server", "broker.__main__"),
        exempt=(
            "simulator.cli",
            "simulator.__main__",
            "simulator.embedded",
            "broker.server",
            "broker.__main__",
        ),
    ),
    Rule(
        "the product never imports its tests",
        PACKAGES,
        ("tests", "pytest"),
        exempt=("simulator.pytest_plugin",),
    ),
)


@dataclass(frozen=True, slots=True)
class Source:
    path: Path
    module: str
    text: str
    tree: ast.Module


Sources = dict[str, Source]


def read_sources(root: Path) -> Sources:
    """Read every module of the packages that exist, by its dotted name."""
    sources = {}
    for path in sorted(path for package in PACKAGES for path in root.glob(f"{package}/**/*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        text = path.read_text(encoding="utf-8")
        sources[module] = Source(path, module, text, ast.parse(text, str(path)))
    return sources


def imports(source: Source) -> set[str]:
    """Every module that a source imports, wherever in the file; `from a import b` counts as a and a.b."""
    found = set()
    for node in ast.walk(source.tree):
        match node:
            case ast.Import():
                found |= {alias.name for alias in node.names}
            case ast.ImportFrom():
                base = resolve(source, node)
                found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                found.add(name)
    return found


def resolve(source: Source, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = source.module.split(".")
    dropped = node.level - (source.path.name == "__init__.py")
    return ".".join(package[: len(package) - dropped] + ([node.module] if node.module else []))


def under(module: str, names: tuple[str, ...]) -> bool:
    return any(module == name or module.startswith(name + ".") for name in names)


def breaches(rule: Rule, sources: Sources) -> Iterator[str]:
    for module in sources:
        if under(module, rule.scope) and not under(module, rule.exempt):
            yield from breaches_of(rule, sources, module)


def breaches_of(rule: Rule, sources: Sources, start: str) -> Iterator[str]:
    """Walk the imports of one module, and of what it imports when the rule is transitive."""
    waiting: list[tuple[str, ...]] = [(start,)]
    seen = {start}
    while waiting:
        chain = waiting.pop()
        for name in sorted(imports(sources[chain[-1]])):
            if under(name, rule.never) and not is_allowed(rule, name):
                yield f"{rule.says}: {' -> '.join((*chain, name))}"
            elif rule.transitive:
                executed = {one for one in with_packages(name) if one in sources} - seen
                seen |= executed
                waiting += [(*chain, one) for one in sorted(executed)]


def with_packages(name: str) -> Iterator[str]:
    """The modules that Python runs for an import: every package on the way, then the module."""
    return accumulate(name.split("."), "{}.{}".format)


def is_allowed(rule: Rule, name: str) -> bool:
    """Tell whether an import leads to an allowed module; naming the package on the way to it is no breach."""
    return under(name, rule.allowed) or any(target.startswith(name + ".") for target in rule.allowed)


def oversized(sources: Sources) -> Iterator[str]:
    for source in sources.values():
        lines = source.text.count("\n")
        if lines > MAX_FILE_LINES:
            yield f"{source.module}: {lines} lines, at most {MAX_FILE_LINES}"
        for node in ast.walk(source.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > MAX_FUNCTION_LINES:
                    yield f"{source.module}.{node.name}: {length} lines, at most {MAX_FUNCTION_LINES}"


def vaguely_named(sources: Sources) -> Iterator[str]:
    for module in sources:
        if vague := VAGUE_NAMES.intersection(module.split(".")):
            yield f"{module}: {vague.pop()!r} says nothing about what is in it"


@pytest.fixture(scope="module")
def ours() -> Sources:
    return read_sources(ROOT)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.says)
def test_import_rule_is_kept(rule: Rule, ours: Sources) -> None:
    assert list(breaches(rule, ours)) == []


def test_files_and_functions_are_small(ours: Sources) -> None:
    assert list(oversized(ours)) == []


def test_no_module_has_a_vague_name(ours: Sources) -> None:
    assert list(vaguely_named(ours)) == []


def plant(root: Path, files: dict[str, str]) -> Sources:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return read_sources(root)


PLANTED = {
    "wire imports nothing of ours": {"wire/mqtt/decoder.py": "import broker.auth"},
    "simulator never imports broker": {"simulator/fleet.py": "def f():\n    from broker import clock"},
    "broker never imports simulator": {"broker/auth/__init__.py": "from simulator.credentials import sign"},
    "pure modules do no input or output": {"simulator/device/keyring.py": "from time import monotonic"},
    "fleet knows no concrete link": {"simulator/fleet.py": "from simulator.links import native"},
    "the live page cannot reach the fleet": {"simulator/live/page.py": "from ..fleet import Fleet"},
    "only entry points import the wiring": {"simulator/report/html.py": "from simulator.cli import main"},
    "the product never imports its tests": {"broker/access/listener.py": "from tests.support import fakes"},
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.says)
def test_planted_violation_breaks_its_rule_and_no_other(rule: Rule, tmp_path: Path) -> None:
    sources = plant(tmp_path, PLANTED[rule.says])
    assert [other.says for other in RULES if list(breaches(other, sources))] == [rule.says]


def test_purity_is_lost_through_an_import_of_ours(tmp_path: Path) -> None:
    sources = plant(
        tmp_path,
        {
            "simulator/oracle.py": "from simulator import records",
            "simulator/records.py": "from simulator.report.text import Text",
            "simulator/report/__init__.py": "import time",
            "simulator/report/text.py": "",
        },
    )
    found = [line for rule in RULES for line in breaches(rule, sources)]
    chain = "simulator.oracle -> simulator.records -> simulator.report -> time"
    assert found == [f"pure modules do no input or output: {chain}"]


def test_what_the_rules_allow_passes(tmp_path: Path) -> None:
    sources = plant(
        tmp_path,
        {
            "simulator/embedded.py": "from broker.server import Platform",
            "simulator/__main__.py": "from simulator.cli import main",
            "simulator/fleet.py": "import asyncio\nfrom simulator.links.link import Link",
            "simulator/device/lifecycle.py": "from simulator.device.events import Event\nimport timeit",
            "simulator/device/events.py": "from dataclasses import dataclass",
            "simulator/links/native.py": "import socket\nfrom wire.mqtt import Decoder",
            "broker/__main__.py": "from broker.server import serve",
        },
    )
    assert [line for rule in RULES for line in breaches(rule, sources)] == []


def test_planted_giants_are_found(tmp_path: Path) -> None:
    full_file, full_function = "x = 1\n" * MAX_FILE_LINES, "def f():\n" + "    x = 1\n" * (MAX_FUNCTION_LINES - 1)
    sources = plant(
        tmp_path,
        {
            "broker/full.py": full_function,
            "broker/long.py": f"async {full_function}    x = 2\n",
            "wire/full.py": full_file,
            "wire/long.py": f"{full_file}x = 2\n",
        },
    )
    assert set(oversized(sources)) == {
        "broker.long.f: 51 lines, at most 50",
        "wire.long: 301 lines, at most 300",
    }


@pytest.mark.parametrize(
    "text",
    [
        "import broker.auth",
        "import importlib\nimportlib.import_module('broker')",
        "if True:\n    from broker import clock",
    ],
)
def test_import_cannot_hide(text: str, tmp_path: Path) -> None:
    assert imports(plant(tmp_path, {"simulator/fleet.py": text})["simulator.fleet"]) & {"broker", "broker.auth"}


@pytest.mark.parametrize("path", ["broker/utils.py", "simulator/helpers/__init__.py", "wire/mqtt/common.py"])
def test_planted_vague_name_is_found(path: str, tmp_path: Path) -> None:
    assert len(list(vaguely_named(plant(tmp_path, {path: ""})))) == 1
