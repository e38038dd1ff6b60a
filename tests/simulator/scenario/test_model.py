"""The model as a Python builder, and what it refuses."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from simulator.device.keyring import Fallback, Slot
from simulator.device.profiles import PROFILES
from simulator.expectations import parse
from simulator.scenario.fleets import FallbackName, Fleet, Telemetry
from simulator.scenario.model import Platform, Scenario
from simulator.scenario.steps import (
    DeliverSecret,
    Network,
    Reconnect,
    ResetSecret,
    Step,
    Verb,
    Waves,
)


def scenario(**changes: Any) -> Scenario:
    plain = {
        "name": "a name",
        "fleets": {"meters": {"count": 5}, "valves": {"count": 3}},
        "timeline": [{"id": "up", "start": ["meters"]}, {"id": "rest", "wait": 5}],
    }
    return Scenario.model_validate(plain | changes)


def steps(*timeline: Mapping[str, Any]) -> Scenario:
    return scenario(timeline=[{"id": f"s{number}", **step} for number, step in enumerate(timeline)])


def problems(build: Any, *args: Any, **kwargs: Any) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as caught:
        build(*args, **kwargs)
    return [(".".join(map(str, error["loc"])), error["msg"]) for error in caught.value.errors()]


def test_a_scenario_is_built_in_python() -> None:
    built = Scenario(
        name="rotate",
        fleets={
            "meters": Fleet(count=10, telemetry=Telemetry(every=5), profiles={"full-jitter": 0.5, "huawei-c": 0.5})
        },
        timeline=[
            Step(id="up", start=["meters"], over=5),
            Step(
                id="rotate",
                after="up",
                reset_secret=ResetSecret(fleet="meters", slot=Slot.PRIMARY, force_disconnect=True),
                waves=Waves(size=5, every=2),
                until=parse("recovered == 100%"),
            ),
        ],
        expect=[parse("rotate: outage.p99 < 5s")],
    )
    assert built.timeline[1].verb is Verb.RESET_SECRET
    assert built.dependencies() == {"up": (), "rotate": ("up",)}


def test_plain_python_and_the_words_of_a_file_mean_the_same() -> None:
    words = scenario(settle="500ms", fleets={"meters": {"count": 5, "profiles": {"full-jitter": "100%"}}})
    numbers = scenario(settle=0.5, fleets={"meters": Fleet(count=5, profiles={"full-jitter": 1})})
    assert words == numbers


def test_the_defaults() -> None:
    built = scenario()
    assert (built.intent, built.seed, built.settle, built.loop_lag_limit) == ("routine", 1, 30, 0.25)
    assert built.platform == Platform(kind="embedded", preset="iotda-standard", engine="builtin")
    fleet = built.fleets["meters"]
    assert (fleet.protocol, fleet.slots, fleet.fallback) == ("mqtt", tuple(Slot), "primary-then-secondary")
    assert (fleet.profiles, fleet.keepalive, fleet.clock_skew) == ({"full-jitter": 1.0}, 120, 0)
    assert (built.timeline[0].timeout, built.timeline[0].over) == (60, 0)
    assert Telemetry(every=5).qos == 1


def test_nothing_changes_after_it_was_read() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        scenario().seed = 5


def test_every_fallback_policy_has_a_name() -> None:
    assert set(get_args(FallbackName)) == {*Fallback, "profile"}


ACTIONS: list[tuple[dict[str, Any], Any, tuple[str, ...]]] = [
    ({"start": ["meters", "valves"]}, ("meters", "valves"), ("meters", "valves")),
    ({"stop": ["valves"]}, ("valves",), ("valves",)),
    (
        {"reset_secret": {"fleet": "meters", "slot": "secondary"}},
        ResetSecret(fleet="meters", slot=Slot.SECONDARY),
        ("meters",),
    ),
    (
        {"deliver_secret": {"fleet": "meters", "slot": "primary", "via": "direct"}},
        DeliverSecret(fleet="meters", slot=Slot.PRIMARY, via="direct"),
        ("meters",),
    ),
    ({"reconnect": {"fleet": "valves"}}, Reconnect(fleet=["valves"]), ("valves",)),
    (
        {"reset_secret": {"fleet": ["meters", "valves"], "slot": "primary"}},
        ResetSecret(fleet=["meters", "valves"], slot=Slot.PRIMARY),
        ("meters", "valves"),
    ),
    ({"network": {"fleet": "valves", "state": "down"}}, Network(fleet="valves", state="down"), ("valves",)),
    ({"freeze": ["meters"]}, ("meters",), ("meters",)),
    ({"unfreeze": ["meters"]}, ("meters",), ("meters",)),
    ({"advance_clocks": "2h"}, 7200.0, ()),
    ({"wait": "500ms"}, 0.5, ()),
    ({"wait": 0}, 0.0, ()),
]


@pytest.mark.parametrize(("step", "action", "fleets"), ACTIONS, ids=lambda value: str(value)[:30])
def test_a_step_knows_its_verb_its_action_and_its_fleets(
    step: dict[str, Any], action: object, fleets: tuple[str, ...]
) -> None:
    built = steps(step).timeline[0]
    assert [built.verb.value] == list(step)
    assert built.action == action
    assert built.fleets == fleets


def test_a_step_waits_for_the_one_before_it_unless_it_says_otherwise() -> None:
    built = steps({"wait": 1}, {"wait": 1}, {"wait": 1, "after": []}, {"wait": 1, "after": "s0"},
                  {"wait": 1, "after": ["s1", "s3"]})  # fmt: skip
    assert built.dependencies() == {"s0": (), "s1": ("s0",), "s2": (), "s3": ("s0",), "s4": ("s1", "s3")}


def test_a_step_may_wait_for_a_later_one() -> None:
    assert steps({"wait": 1, "after": "s1"}, {"wait": 1, "after": []}).dependencies()["s0"] == ("s1",)


def test_a_secondary_secret_may_be_created_by_a_reset() -> None:
    fleets = {"meters": {"count": 1, "secrets": "primary"}}
    reset = {"id": "add", "reset_secret": {"fleet": "meters", "slot": "secondary"}}
    assert scenario(fleets=fleets, timeline=[reset]).timeline[0].fleets == ("meters",)


def test_a_device_file_is_relative_to_the_scenarios_directory() -> None:
    fleet = Fleet.model_validate({"devices": "meters.csv"}, context={"directory": Path("/somewhere")})
    assert fleet.devices == Path("/somewhere/meters.csv")
    assert Fleet(devices=Path("meters.json")).devices == Path("meters.json")


@pytest.mark.parametrize("keepalive", [1, 30, "120s", "20m", 65_535])
def test_a_keepalive_may_be_one_that_the_platform_refuses(keepalive: object) -> None:
    assert Fleet.model_validate({"count": 1, "keepalive": keepalive}).keepalive in (1, 30, 120, 1200, 65_535)


def test_a_clock_may_be_behind() -> None:
    assert Fleet.model_validate({"count": 1, "clock_skew": "-2h"}).clock_skew == -7200


BAD_FLEETS: list[tuple[dict[str, Any], str, str]] = [
    ({}, "", "Value error, a fleet needs either count or devices, and not both"),
    ({"count": 1, "devices": "a.csv"}, "", "Value error, a fleet needs either count or devices, and not both"),
    ({"count": 0}, "count", "Input should be greater than or equal to 1"),
    ({"count": 1_000_001}, "count", "Input should be less than or equal to 1000000"),
    ({"count": True}, "count", "Input should be a valid integer"),
    ({"devices": "a.txt"}, "devices", "Value error, a .csv, .json, .ndjson, .jsonl file is needed, not 'a.txt'"),
    ({"devices": 5}, "devices", "Value error, a .csv, .json, .ndjson, .jsonl file is needed, not 5"),
    ({"count": 1, "protocol": "coap"}, "protocol", "Input should be 'mqtt' or 'lwm2m'"),
    ({"count": 1, "protocol": "lwm2m", "mqtt": 5}, "mqtt", "mqtt belongs to protocol mqtt, and this fleet's is lwm2m"),
    ({"count": 1, "security": "psk"}, "security", "for protocol mqtt none or tls is needed"),
    ({"count": 1, "protocol": "lwm2m", "security": "tls"}, "security", "for protocol lwm2m psk or none is needed"),
    ({"count": 1, "security": "rsa"}, "security", "Input should be 'none', 'tls' or 'psk'"),
    (
        {"count": 1, "protocol": "lwm2m", "lifetime": "500ms"},
        "lifetime",
        "Value error, whole seconds from 1s on are needed, not '500ms'",
    ),
    ({"count": 1, "protocol": "lwm2m", "sleep": {"asleep": "1h"}}, "sleep.awake", "Field required"),
    (
        {"count": 1, "protocol": "lwm2m", "telemetry": {"every": 1, "size": 897}},
        "telemetry.size",
        "at most 896 is allowed for protocol lwm2m, not 897",
    ),
    ({"count": 1, "session": "kept"}, "session", "Input should be 'clean' or 'persistent'"),
    ({"count": 1, "link": "asyncio-mqtt"}, "link", "Input should be 'native', 'paho' or 'aiomqtt'"),
    ({"count": 1, "mqtt": "3.1"}, "mqtt", "Input should be '3.1.1' or '5'"),
    ({"count": 1, "naps": "1h"}, "naps", "Extra inputs are not permitted"),
    ({"count": 1, "sign": 2}, "sign", "Value error, 0 or 1 is needed, not 2"),
    ({"count": 1, "sign": True}, "sign", "Value error, 0 or 1 is needed, not true"),
    ({"count": 1, "keepalive": 0}, "keepalive", "Value error, whole seconds from 1s to 65535s are needed, not 0"),
    (
        {"count": 1, "keepalive": "1500ms"},
        "keepalive",
        "Value error, whole seconds from 1s to 65535s are needed, not '1500ms'",
    ),
    (
        {"count": 1, "profiles": {"full-jiter": 1}},
        "profiles.full-jiter.[key]",
        "unknown profile 'full-jiter'; did you mean 'full-jitter'?",
    ),
    (
        {"count": 1, "profiles": {"x": 1}},
        "profiles.x.[key]",
        f"unknown profile 'x'; the profiles are {', '.join(PROFILES)}",
    ),
    (
        {"count": 1, "profiles": {"full-jitter": "70%", "huawei-c": "20%"}},
        "profiles",
        "the shares sum to 90%, not to 100%",
    ),
    ({"count": 1, "profiles": {}}, "profiles", "Dictionary should have at least 1 item after validation, not 0"),
    ({"count": 1, "telemetry": {"every": 0}}, "telemetry.every", "Value error, a duration above 0 is needed, not 0"),
    ({"count": 1, "telemetry": {"qos": 1}}, "telemetry.every", "Field required"),
]


@pytest.mark.parametrize(("fleet", "where", "message"), BAD_FLEETS, ids=lambda value: str(value)[:40])
def test_a_bad_fleet_is_refused(fleet: dict[str, Any], where: str, message: str) -> None:
    assert problems(Fleet.model_validate, fleet) == [(where, message)]


def test_two_thousand_devices_on_aiomqtt_are_taken_and_no_more() -> None:
    most, one = {"count": 2_000, "link": "aiomqtt"}, {"count": 1, "link": "aiomqtt"}
    scenario(fleets={"meters": most, "valves": {"count": 9_000, "link": "paho"}})
    why = (
        "2001 devices on link aiomqtt, at most 2000 are taken: each of them wakes up every second: 2000 idle ones take "
        "4% of a core, 12 times what they take on native, and a connect takes 2.5 times the CPU, a device 4 times the "
        "memory; use native or paho"
    )
    assert problems(scenario, fleets={"meters": {**most, "count": 2_001}}) == [("fleets.meters.count", why)]
    assert problems(scenario, fleets={"meters": most, "valves": one}) == [("fleets.valves.count", why)]


def test_shares_with_a_remainder_are_rounded_kindly() -> None:
    thirds = {"full-jitter": "33.3%", "huawei-c": "33.3%", "huawei-java": "33.4%"}
    assert Fleet.model_validate({"count": 1, "profiles": thirds})


BAD_STEPS: list[tuple[dict[str, Any], str, str]] = [
    ({}, "", f"Value error, a step needs a verb: {', '.join(Verb)}"),
    ({"wait": 1, "start": ["meters"]}, "", "Value error, a step has one verb, not start and wait"),
    ({"wait": 1, "over": 1}, "over", "over belongs to start and reconnect, not to wait"),
    ({"start": ["meters"], "waves": {"size": 1, "every": 1}}, "waves", "waves belongs to reset_secret, not to start"),
    ({"start": []}, "start", "Value should have at least 1 item after validation, not 0"),
    ({"start": ["meters", "meters"]}, "start.1", "'meters' is named twice"),
    ({"wait": -1}, "wait", "Value error, a duration of 0 or more is needed, not -1"),
    ({"wait": 1, "timeout": "x"}, "timeout",
     "Value error, a duration is needed, e.g. 500ms, 30s, 2m30s or 25h, not 'x'"),
    ({"wait": 1, "until": 5}, "until",
     "Value error, an expectation in quotes is needed, e.g. 'stranded == 0', not 5"),
    ({"reset_secret": {"fleet": "meters"}}, "reset_secret.slot", "Field required"),
    ({"reset_secret": {"fleet": "meters", "slot": "third"}}, "reset_secret.slot",
     "Input should be 'primary' or 'secondary'"),
    ({"reset_secret": {"fleet": "meters", "slot": "primary"}, "waves": {"size": 0, "every": 1}}, "waves.size",
     "Input should be greater than or equal to 1"),
    ({"network": {"fleet": "meters", "state": "on"}}, "network.state", "Input should be 'down' or 'up'"),
    ({"start": ["metres"]}, "start.0", "unknown fleet 'metres'; did you mean 'meters'?"),
    ({"reconnect": {"fleet": ["meters", "zzz"]}}, "reconnect.fleet.1",
     "unknown fleet 'zzz'; the fleets are meters, valves"),
    ({"reconnect": {"fleet": []}}, "reconnect.fleet", "Value should have at least 1 item after validation, not 0"),
    ({"reconnect": {"fleet": "zzz"}}, "reconnect.fleet", "unknown fleet 'zzz'; the fleets are meters, valves"),
    ({"wait": 1, "after": "s9"}, "after.0", "unknown step 's9'; the steps are s0"),
    ({"wait": 1, "after": ["nowhere"]}, "after.0", "unknown step 'nowhere'; the steps are s0"),
    ({"wait": 1, "after": "s0"}, "after", "these steps wait for each other: s0 -> s0"),
    ({"wait": 1, "until": "connected == 3 of metres"}, "until", "unknown fleet 'metres'; did you mean 'meters'?"),
    ({"reset_secret": {"fleet": "meters", "slot": "primary"},
      "waves": {"size": 1, "every": 1, "abort_if": "stranded > 0 of valve"}}, "waves.abort_if",
     "unknown fleet 'valve'; did you mean 'valves'?"),
]  # fmt: skip


@pytest.mark.parametrize(("step", "where", "message"), BAD_STEPS, ids=lambda value: str(value)[:40])
def test_a_bad_step_is_refused(step: dict[str, Any], where: str, message: str) -> None:
    assert problems(steps, step) == [(f"timeline.0.{where}".rstrip("."), message)]


@pytest.mark.parametrize("name", ["", "Up", "a b", "é", "x" * 65])
def test_a_step_id_is_a_short_lower_case_word(name: str) -> None:
    message = f"Value error, a step id is 1 to 64 characters of a-z0-9_-, not {name!r}"
    assert problems(steps, {"id": name, "wait": 1}) == [("timeline.0.id", message)]


def test_two_steps_of_one_id_are_refused() -> None:
    assert problems(steps, {"wait": 1}, {"id": "s0", "wait": 1}) == [("timeline.1.id", "the id 's0' is used twice")]


def test_steps_that_wait_for_each_other_are_refused() -> None:
    found = problems(steps, {"wait": 1, "after": "s2"}, {"wait": 1}, {"wait": 1})
    assert [where for where, _ in found] == ["timeline.0.after"]
    assert found[0][1].startswith("these steps wait for each other: ")


BAD_EXPECTATIONS = [
    ("rest: connected == 3 of meters", "step 'rest' does not touch fleet 'meters'"),
    ("rest: connected == 3", "step 'rest' touches no device: nothing can be said of it"),
    ("upp: stranded == 0", "unknown step 'upp'; did you mean 'up'?"),
    ("stranded == 0 of metres", "unknown fleet 'metres'; did you mean 'meters'?"),
    ("up: stranded == 0 of valves", "step 'up' does not touch fleet 'valves'"),
]


@pytest.mark.parametrize(("text", "message"), BAD_EXPECTATIONS)
def test_an_expectation_about_nothing_is_refused(text: str, message: str) -> None:
    assert problems(scenario, expect=[text]) == [("expect.0", message)]


def test_every_problem_is_told_at_once() -> None:
    found = problems(
        scenario, expect=["stranded == 0 of x", "x: stranded == 0"], timeline=[{"id": "a", "start": ["b"]}]
    )
    assert [where for where, _ in found] == ["timeline.0.start.0", "expect.0", "expect.1"]


ADDRESS = "Value error, an address such as {}://host:port is needed, not {!r}"
REMOTE = {"kind": "remote", "api": "http://h"}
KEY_VARIABLES = {"access_key_env": "A", "secret_key_env": "S"}
BAD_PLATFORMS: list[tuple[dict[str, Any], str, str]] = [
    ({"kind": "broker-only"}, "", "Value error, a broker-only platform needs mqtt or mqtts, the address of the broker"),
    ({"kind": "broker-only", "mqtt": "mqtt://h", "api": "http://h"}, "api",
     "api belongs to a platform of kind remote"),
    ({"kind": "broker-only", "mqtt": "http://h"}, "mqtt", ADDRESS.format("mqtt", "http://h")),
    ({"mqtt": "mqtt://h"}, "mqtt", "mqtt belongs to a platform of kind remote or broker-only"),
    ({"kind": "remote"}, "", "Value error, a remote platform needs api, the address of its control API"),
    ({"api": "http://host"}, "api", "api belongs to a platform of kind remote"),
    ({"token_env": "T"}, "token_env", "token_env belongs to a platform of kind remote"),
    ({"secret_key_env": "S"}, "secret_key_env", "secret_key_env belongs to a platform of kind remote"),
    ({"kind": "remote", "api": "http://h", "engine": "amqtt"}, "engine",
     "engine belongs to a platform of kind embedded"),
    ({"kind": "remote", "api": "http://h", "engine_ca": "x"}, "engine_ca",
     "engine_ca belongs to a platform of kind embedded"),
    ({"engine": "mosquito"}, "engine",
     "Value error, builtin, amqtt, or a broker such as mqtt://host:port or unix:/path is needed, not 'mosquito'"),
    ({"engine": "mqtt://gate:pw@h"}, "engine",
     "Value error, no password in a scenario: the environment variable KEYTURN_ENGINE_PASSWORD is for it"),
    ({**REMOTE, "access_key_env": "A"}, "access_key_env", "access_key_env needs secret_key_env beside it"),
    ({**REMOTE, "secret_key_env": "S"}, "secret_key_env", "secret_key_env needs access_key_env beside it"),
    ({**REMOTE, "region": "cn-north-4"}, "region",
     "region is signed with: it needs access_key_env and secret_key_env"),
    ({**REMOTE, **KEY_VARIABLES, "token_env": "T"}, "token_env",
     "a token or an access key lets a caller in: give one of them"),
    ({"kind": "remote", "api": "host:80"}, "api", ADDRESS.format("http", "host:80")),
    ({"kind": "remote", "api": "http://h:99999"}, "api", ADDRESS.format("http", "http://h:99999")),
    ({"kind": "remote", "api": "http://"}, "api", ADDRESS.format("http", "http://")),
    ({"kind": "remote", "api": "http://a@h"}, "api", ADDRESS.format("http", "http://a@h")),
    ({"kind": "remote", "api": "http://h", "mqtt": "mqtts://h"}, "mqtt", ADDRESS.format("mqtt", "mqtts://h")),
    ({"project_id": "a/b"}, "project_id", "Value error, 1 to 64 characters of A-Za-z0-9_- are needed, not 'a/b'"),
    ({"ca": "x"}, "ca", "ca belongs to a platform of kind remote or broker-only"),
    ({**REMOTE, "ca": 5}, "ca", "Value error, the name of a PEM file is needed, not 5"),
    ({**REMOTE, "coaps": "coap://h"}, "coaps", ADDRESS.format("coaps", "coap://h")),
    ({"kind": "broker-only", "mqtt": "mqtt://h", "coap": "coap://h"}, "coap",
     "coap belongs to a platform of kind remote"),
    ({"certificate": "x"}, "certificate", "Extra inputs are not permitted"),
]  # fmt: skip


@pytest.mark.parametrize(("platform", "where", "message"), BAD_PLATFORMS, ids=lambda value: str(value)[:40])
def test_a_bad_platform_is_refused(platform: dict[str, Any], where: str, message: str) -> None:
    assert problems(Platform.model_validate, platform) == [(where, message)]


@pytest.mark.parametrize(
    ("engine", "is_relayed"),
    [
        ("builtin", False),
        ("amqtt", False),
        ("mqtt://127.0.0.1:1884", True),
        ("mqtts://gate@b", True),
        ("unix:/b.sock", True),
    ],
)
def test_an_engine_stands_behind_an_embedded_platform(engine: str, is_relayed: bool) -> None:
    assert Platform(engine=engine).is_relayed is is_relayed


def test_a_remote_platform_has_an_address() -> None:
    remote = Platform(kind="remote", api="https://iotda.example:8443/base", mqtt="mqtt://127.0.0.1:1883", token_env="T")
    assert remote.project_id == "default"


def test_fleet_that_a_bare_broker_has_no_port_for_is_refused() -> None:
    fleets = {"meters": {"count": 1, "security": "tls"}, "valves": {"count": 1, "protocol": "lwm2m"}}
    found = problems(scenario, platform=BROKER, fleets=fleets, timeline=[{"id": "up", "start": ["meters"]}])
    assert found == [
        ("fleets.meters.protocol", "fleet 'meters' speaks MQTT (TLS), but platform.mqtts is not given"),
        ("fleets.valves.protocol", "fleet 'valves' speaks LwM2M (DTLS), but platform.coaps is not given"),
    ]


@pytest.mark.parametrize(
    ("fleet", "scheme", "spoken"),
    [
        ({}, "mqtt", "MQTT"),
        ({"security": "tls"}, "mqtts", "MQTT (TLS)"),
        ({"protocol": "lwm2m"}, "coaps", "LwM2M (DTLS)"),
        ({"protocol": "lwm2m", "security": "none"}, "coap", "LwM2M (plain)"),
    ],
)
def test_a_fleet_has_a_scheme_and_a_name_for_what_it_speaks(fleet: dict[str, Any], scheme: str, spoken: str) -> None:
    built = Fleet.model_validate({"count": 1, **fleet})
    assert (built.scheme, built.spoken) == (scheme, spoken)


def test_devices_of_lwm2m_have_one_secret_unless_they_are_given_both() -> None:
    assert Fleet(count=1, protocol="lwm2m").slots == (Slot.PRIMARY,)
    assert Fleet(count=1, protocol="lwm2m", secrets="both").slots == tuple(Slot)


BROKER = {"kind": "broker-only", "mqtt": "mqtt://h:1883"}
BUT = "but mqtt://h:1883 is an MQTT broker and nothing else"
BEYOND_A_BROKER: list[tuple[dict[str, Any], str, str]] = [
    ({"reset_secret": {"fleet": "meters", "slot": "primary"}}, "reset_secret", "a control API"),
    ({"freeze": ["meters"]}, "freeze", "a control API"),
    ({"unfreeze": ["meters"]}, "unfreeze", "a control API"),
    ({"deliver_secret": {"fleet": "meters", "slot": "primary"}}, "deliver_secret", "keyturn's own API"),
    (
        {"deliver_secret": {"fleet": "meters", "slot": "primary", "via": "message"}},
        "deliver_secret",
        "keyturn's own API",
    ),
    ({"advance_clocks": "1h"}, "advance_clocks", "keyturn's own API"),
]


@pytest.mark.parametrize(("step", "where", "supply"), BEYOND_A_BROKER, ids=lambda value: str(value)[:40])
def test_step_that_a_bare_broker_cannot_serve_is_refused(step: dict[str, Any], where: str, supply: str) -> None:
    found = problems(scenario, platform=BROKER, timeline=[{"id": "up", "start": ["meters"]}, {"id": "s1", **step}])
    assert found == [(f"timeline.1.{where}", f"step 's1' needs {supply}, {BUT}")]


@pytest.mark.parametrize(
    "text", ["up: messages.lost == 0", "exposure.max < 5s", "misjudged == 0", "stale_sessions == 0"]
)
def test_expectation_that_needs_the_journal_of_a_bare_broker_is_refused(text: str) -> None:
    metric = parse(text).metric
    found = problems(scenario, platform=BROKER, expect=["connected == 100%", text])
    assert found == [("expect.1", f"{metric} needs the platform's journal, {BUT}")]


def test_what_devices_do_alone_is_done_with_a_bare_broker() -> None:
    deliver = {"fleet": "meters", "slot": "primary", "via": "direct"}
    network = {"fleet": "meters", "state": "down"}
    verbs: list[dict[str, Any]] = [
        {"network": network},
        {"reconnect": {"fleet": "meters"}},
        {"deliver_secret": deliver},
    ]
    timeline = [{"id": f"s{number}", **verb} for number, verb in enumerate([{"start": ["meters"]}, *verbs])]
    built = scenario(platform=BROKER, timeline=timeline, expect=["s1: outage.p99 < 5s", "unreachable == 0"])
    assert len(built.timeline) == 4


@pytest.mark.parametrize("name", ["", "two\nlines", "x" * 201, "\ud800"])
def test_a_name_is_one_line(name: str) -> None:
    assert problems(scenario, name=name) == [("name", "Value error, one line of 1 to 200 characters is needed")]


@pytest.mark.parametrize("version", [5, 5.0, "5", "5.0"])
def test_mqtt_5_may_be_written_as_a_number(version: object) -> None:
    assert Fleet.model_validate({"count": 1, "mqtt": version}).mqtt == "5"
