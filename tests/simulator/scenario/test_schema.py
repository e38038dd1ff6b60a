"""The JSON Schema agrees with what the parser takes."""

from typing import Any

import jsonschema
import pytest
import yaml

from simulator.scenario.parser import packaged
from simulator.scenario.schema import json_schema

SCHEMA = json_schema()
GOOD: dict[str, Any] = {
    "name": "n",
    "intent": "routine",
    "platform": {"kind": "remote", "api": "http://h", "access_key_env": "AK", "secret_key_env": "SK", "region": "r"},
    "fleets": {"m": {"count": 1, "mqtt": 5, "clock_skew": "-2h", "profiles": {"full-jitter": "50%", "huawei-c": 0.5}}},
    "timeline": [{"id": "up", "after": [], "start": ["m"], "over": "5s", "until": "connected == 100%"}],
}


def test_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", packaged())
def test_packaged_scenario_fits(name: str) -> None:
    jsonschema.validate(yaml.safe_load(packaged()[name].read_text()), SCHEMA)


def test_every_way_to_write_a_value_fits() -> None:
    jsonschema.validate(GOOD, SCHEMA)


@pytest.mark.parametrize(
    "wrong",
    [
        {"fleets": {"m": {}}},
        {"fleets": {"m": {"count": 0}}},
        {"fleets": {"m": {"count": 1, "profiles": {"nokia": 1}}}},
        {"fleets": {"m": {"count": 1, "cuont": 2}}},
        {"timeline": []},
        {"timeline": [{"id": "up"}]},
        {"timeline": [{"id": "up", "start": ["m"], "wait": "1s"}]},
        {"timeline": [{"id": "up", "wait": "soon"}]},
        {"intent": "rotine"},
        {"platform": {"access_key": "AK"}},
    ],
)
def test_what_the_parser_would_refuse_for_its_shape_does_not(wrong: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(GOOD | wrong, SCHEMA)
