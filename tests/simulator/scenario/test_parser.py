"""Files into scenarios: where they are found, overrides, and errors that point at the place."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.expectations import parse
from simulator.metrics import METRICS
from simulator.scenario.checks import WHY_NOT_MORE
from simulator.scenario.errors import ScenarioError
from simulator.scenario.fleets import Telemetry
from simulator.scenario.model import Scenario
from simulator.scenario.parser import LARGEST_FILE, load, packaged
from simulator.scenario.steps import Waves

SMALL = """\
name: small
fleets:
  meters:
    count: 5
    profiles: {full-jitter: 70%, huawei-c: 30%}
timeline:
  - {id: up, start: [meters], over: 5s, until: "connected == 100%"}
  - {id: rotate, reset_secret: {fleet: meters, slot: primary}, waves: {size: 2, every: 1s}}
expect:
  - "rotate: outage.p99 < 10s"
"""


SLIPS = st.text(max_size=8) | st.text("[]{}:,-\"'%&*!|>#? \n\t5", max_size=8)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "s.yaml"
    path.write_text(SMALL)
    return path


def errors(source: str | Path, *overrides: str, seed: int | None = None) -> list[str]:
    """What is printed, without the folder of the file."""
    with pytest.raises(ScenarioError) as caught:
        load(source, overrides=overrides, seed=seed)
    return str(caught.value).replace(f"{Path(source).parent}/", "").splitlines()


def test_a_file_is_read(file: Path) -> None:
    scenario = load(file)
    assert scenario.name == "small"
    assert [step.id for step in scenario.timeline] == ["up", "rotate"]
    assert load(str(file)) == scenario


def test_a_json_file_is_read_with_its_tabs(tmp_path: Path) -> None:
    plain = {"name": "j", "fleets": {"m": {"count": 1}}, "timeline": [{"id": "a", "wait": "1s"}]}
    path = tmp_path / "s.json"
    path.write_text("﻿" + json.dumps(plain, indent="\t"), encoding="utf-8")
    assert load(path).timeline[0].action == 1.0


def test_device_files_are_found_beside_the_scenario(file: Path) -> None:
    file.write_text(SMALL.replace("count: 5", "devices: lists/meters.csv"))
    assert load(file).fleets["meters"].devices == file.parent / "lists" / "meters.csv"


@pytest.mark.parametrize("name", sorted(packaged()))
def test_every_packaged_scenario_is_right(name: str) -> None:
    scenario = load(name)
    assert scenario.expect


def test_the_packaged_scenarios_are_these() -> None:
    assert {"lockout", "reset-without-force", "rotate-primary"} <= set(packaged())


def test_no_packaged_scenario_asserts_a_time_that_a_busy_machine_could_fail() -> None:
    for name in packaged():
        scenario = load(name)
        for expectation in scenario.expect:
            if METRICS[expectation.metric].is_duration(expectation.stat):
                assert expectation.threshold >= 10 * scenario.loop_lag_limit


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "s.yaml: empty; a scenario needs name, fleets and timeline"),
        ("# nothing", "s.yaml: empty; a scenario needs name, fleets and timeline"),
        ("- a", "s.yaml:1:1: a scenario is a mapping with name, fleets and timeline"),
        ("just text", "s.yaml:1:1: a scenario is a mapping with name, fleets and timeline"),
        (b"name: x\n\xff", "s.yaml:2: not UTF-8 text (byte 0xff)"),
        (b" " * (LARGEST_FILE + 1), f"s.yaml: larger than {LARGEST_FILE} bytes, which no scenario is"),
    ],
    ids=["empty", "comment", "list", "text", "latin-1", "large"],
)
def test_a_file_that_is_no_scenario_is_told_in_one_line(file: Path, content: str | bytes, expected: str) -> None:
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    assert errors(file)[0] == expected


def test_a_file_that_cannot_be_read_is_told_in_one_line(tmp_path: Path) -> None:
    assert errors(tmp_path / "none.yaml") == ["none.yaml: no such file"]
    assert errors(tmp_path) == [f"{tmp_path.name}: a directory, not a scenario file"]
    assert errors(tmp_path / "a\0b.yaml") == ["a\0b.yaml: not a path"]
    assert errors(tmp_path / ("x" * 300 + ".yaml"))[0].endswith("cannot be read (File name too long)")


def test_a_mistyped_name_is_answered_with_the_packaged_ones() -> None:
    assert errors("lokout") == ["lokout: neither a file nor a packaged scenario; did you mean 'lockout'?"]
    known = "the packaged ones are clock-skew, lockout, "
    assert errors("zzz")[0].startswith(f"zzz: neither a file nor a packaged scenario; {known}")


BAD = {
    ("name: small\n", ""): (1, "fleets:", "name: needed, but missing"),
    ("count: 5", "cuont: 5\n    count: 5"): (
        4, "cuont", "fleets.meters.cuont: unknown key 'cuont'; did you mean 'count'?"),
    ("count: 5", "count: 0"): (4, "0", "fleets.meters.count: at least 1 is needed, not 0"),
    ("count: 5", "count: 2000000"): (4, "2000000", "fleets.meters.count: at most 1000000 is allowed, not 2000000"),
    ("count: 5", "count: 2001\n    link: aiomqtt"): (
        4, "2001", f"fleets.meters.count: 2001 devices on link aiomqtt, at most 2000 are taken: {WHY_NOT_MORE}"),
    ("count: 5", "count: many"): (4, "many", "fleets.meters.count: a whole number is needed, not 'many'"),
    ("count: 5", "count: 5\n    secrets: bth"): (
        5, "bth", "fleets.meters.secrets: 'primary' or 'both' is needed, not 'bth'; did you mean 'both'?"),
    ("count: 5", "count: 5\n    protocol: coap"): (
        5, "coap", "fleets.meters.protocol: 'mqtt' or 'lwm2m' is needed, not 'coap'"),
    ("count: 5", "count: 5\n    protocol: lwm2m\n    sign: 1"): (
        6, "1", "fleets.meters.sign: sign belongs to protocol mqtt, and this fleet's is lwm2m"),
    ("full-jitter: 70%", "full-jiter: 70%"): (
        5,
        "full-jiter",
        "fleets.meters.profiles.full-jiter: unknown profile 'full-jiter'; did you mean 'full-jitter'?",
    ),
    ("30%", "20%"): (5, "{full", "fleets.meters.profiles: the shares sum to 90%, not to 100%"),
    ("over: 5s", "over: -5s"): (7, "-5s", "timeline.0.over: a duration of 0 or more is needed, not '-5s'"),
    ("over: 5s", "ovr: 5s"): (7, "ovr", "timeline.0.ovr: unknown key 'ovr'; did you mean 'over'?"),
    ("start: [meters]", "start: meters"): (7, "meters", "timeline.0.start: a list is needed, not 'meters'"),
    ("[meters]", "[metres]"): (7, "metres", "timeline.0.start.0: unknown fleet 'metres'; did you mean 'meters'?"),
    ("start: [meters], over: 5s, ", ""): (
        7,
        "{id: up",
        "timeline.0: a step needs a verb: start, stop, reset_secret, deliver_secret, reconnect, network, freeze, "
        "unfreeze, advance_clocks, wait",
    ),
    ("id: rotate", "id: up"): (8, "up", "timeline.1.id: the id 'up' is used twice"),
    ("connected == 100%", "conected == 100%"): (
        7, "conected", "timeline.0.until: unknown metric 'conected'; did you mean 'connected'?"),
    ("connected == 100%", "connected == 100% of metres"): (
        7, "metres", "timeline.0.until: unknown fleet 'metres'; did you mean 'meters'?"),
    ("connected == 100%", "connected = 100%"): (
        7, "= 100%", "timeline.0.until: unknown operator '='; the operators are < <= == != >= >"),
    ("slot: primary", "slot: first"): (
        8, "first", "timeline.1.reset_secret.slot: 'primary' or 'secondary' is needed, not 'first'"),
    ("slot: primary", "slot: primary, secret: yes"): (
        8, "yes", "timeline.1.reset_secret.secret: 'seeded' or 'generated' is needed, not 'yes'"),
    ("fleet: meters,", "force_disconnect: yes, fleet: meters,"): (
        8, "yes", "timeline.1.reset_secret.force_disconnect: true or false is needed, not 'yes'"),
    ("reset_secret: {fleet: meters, slot: primary}", "reset_secret: meters"): (
        8, "meters", "timeline.1.reset_secret: a mapping (key: value) is needed, not 'meters'"),
    ("reset_secret: {fleet: meters, slot: primary}", "wait: 5s"): (
        8, "{size", "timeline.1.waves: waves belongs to reset_secret, not to wait"),
    ("outage.p99 < 10s", "outage.p99 < 10"): (10, '10"', "expect.0: a duration is needed, e.g. 10s"),
    ("rotate: outage", "rotat: outage"): (10, "rotat", "expect.0: unknown step 'rotat'; did you mean 'rotate'?"),
    ('"rotate: outage.p99 < 10s"', "rotate: outage.p99 < 10s"): (
        10,
        "rotate",
        "expect.0: an expectation in quotes is needed, e.g. 'stranded == 0', not a mapping",
    ),
    ("name: small", "name: [small]"): (1, "[small]", "name: text is needed, not a list"),
    ("timeline:\n", "timeline: []\nrest:\n"): (6, "[]", "timeline: at least one is needed"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new"), BAD, ids=lambda text: text[:30])
def test_a_mistake_is_shown_in_its_line_with_a_caret(file: Path, old: str, new: str) -> None:
    assert SMALL.count(old) == 1
    file.write_text(SMALL.replace(old, new))
    row, pointed, message = BAD[old, new]
    first, line, caret = errors(file)[:3]
    assert first == f"s.yaml:{row}:{len(caret) - 4}: {message}"
    assert line == "    " + file.read_text().splitlines()[row - 1]
    assert caret == " " * (len(caret) - 1) + "^"
    assert line[len(caret) - 1 :].startswith(pointed)


def test_all_mistakes_are_told_in_the_order_of_the_file(file: Path) -> None:
    file.write_text(SMALL.replace("count: 5", "count: 0").replace("over: 5s", "ovr: 5s").replace("10s", "ten"))
    assert [line.split(":")[1] for line in errors(file)[::3]] == ["4", "7", "10"]


def test_very_many_mistakes_are_cut(file: Path) -> None:
    file.write_text("".join(f"k{number}: 1\n" for number in range(50)))
    assert errors(file)[-1] == "… and 33 more"


@pytest.mark.parametrize("in_file", [True, False])
def test_what_a_bare_broker_cannot_serve_is_shown_in_its_line(file: Path, *, in_file: bool) -> None:
    broker = "platform: {kind: broker-only, mqtt: 'mqtt://h:1'}"
    text = SMALL.replace("outage.p99 < 10s", "messages.lost == 0")
    file.write_text(f"{text}{broker}\n" if in_file else text)
    found = errors(file, *(() if in_file else [broker.replace(": ", "=", 1)]))
    because = "but mqtt://h:1 is an MQTT broker and nothing else"
    assert found[0::3] == [
        f"s.yaml:8:32: timeline.1.reset_secret: step 'rotate' needs a control API, {because}",
        f"s.yaml:10:14: expect.0: messages needs the platform's journal, {because}",
    ]


def test_half_a_key_is_shown_in_its_line(file: Path) -> None:
    file.write_text(f"{SMALL}platform:\n  kind: remote\n  api: http://h\n  secret_key_env: SK\n")
    line = len(SMALL.splitlines()) + 4
    told = "platform.secret_key_env: secret_key_env needs access_key_env beside it"
    assert errors(file)[0] == f"s.yaml:{line}:19: {told}"


GOOD_OVERRIDES: dict[str, Callable[[Scenario], object]] = {
    "fleets.meters.count=10000": lambda scenario: scenario.fleets["meters"].count == 10_000,
    "fleets.meters.telemetry.every=5s": lambda scenario: scenario.fleets["meters"].telemetry == Telemetry(every=5),
    "fleets.meters.profiles={huawei-c: 100%}": lambda scenario: scenario.fleets["meters"].profiles == {"huawei-c": 1},
    "fleets.meters.profiles.huawei-c=0.3": lambda scenario: scenario.fleets["meters"].profiles["huawei-c"] == 0.3,
    "timeline.1.waves.size=7": lambda scenario: scenario.timeline[1].waves == Waves(size=7, every=1),
    "timeline.rotate.until=stranded > 3": lambda scenario: scenario.timeline[1].until == parse("stranded > 3"),
    "timeline.rotate.waves=": lambda scenario: scenario.timeline[1].waves is None,
    "expect=[stranded == 0]": lambda scenario: scenario.expect == (parse("stranded == 0"),),
    "platform.project_id=p1": lambda scenario: scenario.platform.project_id == "p1",
    "seed=9": lambda scenario: scenario.seed == 9,
}


@pytest.mark.parametrize("override", GOOD_OVERRIDES)
def test_an_override_sets_one_value(file: Path, override: str) -> None:
    assert GOOD_OVERRIDES[override](load(file, overrides=[override]))


@pytest.mark.parametrize("override", ["fleets.meters.devices=mine.csv", "fleets.meters={devices: mine.csv}"])
def test_a_file_on_the_command_line_is_looked_for_in_the_current_folder(
    file: Path, monkeypatch: pytest.MonkeyPatch, override: str
) -> None:
    here = file.parent / "elsewhere"
    here.mkdir()
    monkeypatch.chdir(here)
    file.write_text(SMALL.replace("count: 5", "devices: its/own.csv"))
    assert load(file, overrides=[override]).fleets["meters"].devices == here / "mine.csv"
    assert load(file, overrides=["fleets.meters.keepalive=60"]).fleets["meters"].devices == file.parent / "its/own.csv"


def test_an_absolute_file_on_the_command_line_stays_what_it_is(file: Path) -> None:
    scenario = load(file, overrides=["fleets.meters={devices: /lists/mine.ndjson}"])
    assert scenario.fleets["meters"].devices == Path("/lists/mine.ndjson")


BAD_OVERRIDES = {
    "fleets.meters": "path=value is needed, e.g. fleets.meters.count=100",
    "=5": "path=value is needed, e.g. fleets.meters.count=100",
    "a..b=5": "path=value is needed, e.g. fleets.meters.count=100",
    "fleets.metres.count=5": "there is no 'metres' in fleets; did you mean 'meters'?",
    "fleets.meters.telemetry.evry=5s": "there is no 'evry' in fleets.meters.telemetry; did you mean 'every'?",
    "seeed=5": "there is no 'seeed'; did you mean 'seed'?",
    "timeline.5.wait=5": "there is no '5' in timeline",
    "timeline.rotat.wait=5": "there is no 'rotat' in timeline; did you mean 'rotate'?",
    "fleets.meters.count.x=5": "there is no 'x' in fleets.meters.count",
    "seed=[1": "the value is not valid YAML; quotes may help",
    "fleets.meters.count=abc": "fleets.meters.count: a whole number is needed, not 'abc'",
    "fleets.meters.telemetry.qos=1": "fleets.meters.telemetry.every: needed, but missing",
    "expect.0=stranded = 0": "expect.0: unknown operator '='; the operators are < <= == != >= >",
    "fleets.meters={count: 5, cuont: 5}": "fleets.meters.cuont: unknown key 'cuont'; did you mean 'count'?",
}


@pytest.mark.parametrize("override", BAD_OVERRIDES)
def test_a_bad_override_is_named(file: Path, override: str) -> None:
    assert errors(file, override) == [f"--set {override}: {BAD_OVERRIDES[override]}"]


def test_the_last_override_wins_and_the_seed_argument_is_the_last(file: Path) -> None:
    assert load(file, overrides=["seed=5", "seed=6"]).seed == 6
    assert load(file, overrides=["seed=5"], seed=7).seed == 7
    assert errors(file, seed=-1) == ["--set seed=-1: seed: at least 0 is needed, not -1"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_are_a_scenario_or_raise_only_scenario_error(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(ScenarioError):
        load(file)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(st.integers(0, len(SMALL)), st.integers(0, 12), SLIPS)
def test_any_slip_of_the_pen_raises_only_scenario_error(file: Path, at: int, cut: int, put: str) -> None:
    file.write_bytes((SMALL[:at] + put + SMALL[at + cut :]).encode())
    told_or_read(file)


@settings(deadline=None)
@given(st.text(), st.text())
def test_any_override_raises_only_scenario_error(path: str, value: str) -> None:
    for override in (f"{path}={value}", f"fleets.meters.{path}={value}", f"timeline.0.until={value}"):
        told_or_read("lockout", override)


@given(st.text())
def test_any_name_raises_only_scenario_error(name: str) -> None:
    told_or_read(name)


def told_or_read(source: str | Path, *overrides: str) -> None:
    """Load it; a ScenarioError must be printable, and nothing else may be raised."""
    try:
        load(source, overrides=overrides)
    except ScenarioError as error:
        assert str(error).encode()  # noqa: PT017 - either is right
