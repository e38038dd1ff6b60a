"""The README says what the code does: its generated parts are fresh, and nothing public is missing from it."""

import re
from pathlib import Path

import pytest

from simulator.cli import app, devices_app
from simulator.scenario.fleets import Fleet
from simulator.scenario.model import Platform
from simulator.scenario.parser import load, packaged
from simulator.scenario.steps import Verb
from tests.readme import README, SECTIONS, section

TEXT = README.read_text()


@pytest.mark.parametrize("name", SECTIONS)
def test_generated_part_is_fresh(name: str) -> None:
    start, end = section(TEXT, name)
    assert TEXT[start:end] == SECTIONS[name](), "run: python -m tests.readme"


@pytest.mark.parametrize("verb", Verb)
def test_every_verb_is_documented(verb: Verb) -> None:
    assert f"`{verb}`" in TEXT


@pytest.mark.parametrize("key", [*Fleet.model_fields, *Platform.model_fields])
def test_every_scenario_key_is_documented(key: str) -> None:
    assert f"`{key}`" in TEXT


@pytest.mark.parametrize("name", packaged())
def test_every_packaged_scenario_is_documented(name: str) -> None:
    assert f"`{name}`" in TEXT


@pytest.mark.parametrize("scenario", re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL), ids=lambda text: text[:30])
def test_every_scenario_shown_can_be_run(scenario: str, tmp_path: Path) -> None:
    path = tmp_path / "shown.yaml"
    path.write_text(scenario)
    assert load(path).expect


def test_every_command_is_documented() -> None:
    for group, commands in (("", app.registered_commands), ("devices ", devices_app.registered_commands)):
        for command in commands:
            name = command.name or getattr(command.callback, "__name__", "")
            assert f"keyturn {group}{name}" in TEXT
