"""The JSON Schema of scenario files, for editors."""

from typing import Any

from simulator.device.profiles import PROFILES
from simulator.scenario.model import Scenario
from simulator.scenario.steps import Verb


def json_schema() -> dict[str, Any]:
    """Describe a scenario file; what needs more than its shape (references, sums) is left to `keyturn check`."""
    schema = Scenario.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    definitions = schema["$defs"]
    definitions["Fleet"]["properties"]["profiles"]["propertyNames"] = {"enum": list(PROFILES)}
    definitions["Fleet"]["oneOf"] = [{"required": ["count"]}, {"required": ["devices"]}]
    definitions["Step"]["oneOf"] = [{"required": [verb]} for verb in Verb]
    return schema
