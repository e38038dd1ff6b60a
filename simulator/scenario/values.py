"""The words of a scenario file as field types: durations, shares, names, conditions.

Each takes what a file says ('500ms', '70%') or what Python says (0.5, 0.7) and becomes the Python value.
"""

import math
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import durationpy
from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, Strict, ValidationInfo, WithJsonSchema

from simulator.device.keyring import Slot
from simulator.expectations import Expectation, parse
from simulator.identities import JSON_SUFFIXES
from simulator.scenario.strict import Problem, refuse, repeated

LONGEST_S = 3660 * 86_400.0

# durationpy alone would skip what it does not know between two units, and read "mm" as months.
_DURATION = re.compile(r"[+-]?([0-9]+(\.[0-9]+)?(us|ms|s|m|h|d))+")
_SHARE = re.compile(r"[0-9]+(\.[0-9]+)?%")


def signed_seconds(value: object) -> float:
    """Read '500ms', '1m30s', '-2h' or a number of seconds."""
    if isinstance(value, str) and _DURATION.fullmatch(value):
        duration = _written_seconds(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        duration = float(value) if abs(value) <= LONGEST_S else math.inf
    else:
        raise ValueError(f"a duration is needed, e.g. 500ms, 30s, 2m30s or 25h, not {said(value)}")
    if abs(duration) > LONGEST_S:
        raise ValueError(f"a duration of at most ten years is needed, not {said(value)}")
    return duration


def seconds(value: object) -> float:
    """Read a duration that is not negative."""
    duration = signed_seconds(value)
    if duration < 0:
        raise ValueError(f"a duration of 0 or more is needed, not {said(value)}")
    return duration


def share(value: object) -> float:
    """Read '70%' or 0.7."""
    if isinstance(value, str) and _SHARE.fullmatch(value):
        part = float(value[:-1]) / 100
    elif isinstance(value, int | float) and not isinstance(value, bool):
        part = float(value) if 0 <= value <= 1 else math.inf
    else:
        raise ValueError(f"a share is needed, e.g. 70% or 0.7, not {said(value)}")
    if part > 1:
        raise ValueError(f"a share is between 0% and 100% (or 0 and 1), not {said(value)}")
    return part


def said(value: object) -> str:
    """A value as its author wrote it, more or less: quoted text, or YAML's true, false and null."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict | list | tuple):
        return "a mapping" if isinstance(value, dict) else "a list"
    return repr(value)


def _written_seconds(text: str) -> float:
    try:
        return durationpy.from_str(text).total_seconds()
    except durationpy.DurationError:
        return math.inf


def _positive_seconds(value: object) -> float:
    duration = seconds(value)
    if not duration:
        raise ValueError(f"a duration above 0 is needed, not {said(value)}")
    return duration


def _keepalive(value: object) -> int:
    duration = seconds(value)
    if not (1 <= duration <= 65_535 and duration.is_integer()):
        raise ValueError(f"whole seconds from 1s to 65535s are needed, not {said(value)}")
    return int(duration)


def _lifetime(value: object) -> int:
    duration = seconds(value)
    if not (duration >= 1 and duration.is_integer()):
        raise ValueError(f"whole seconds from 1s on are needed, not {said(value)}")
    return int(duration)


def _mqtt_version(value: object) -> object:
    """YAML reads 5 and 5.0 as numbers."""
    return "5" if str(value) in ("5", "5.0") and not isinstance(value, bool) else value


def _bit(value: object) -> object:
    if type(value) is not int or value not in (0, 1):
        raise ValueError(f"0 or 1 is needed, not {said(value)}")
    return value


def _name(kind: str, pattern: str, value: str) -> str:
    if not re.fullmatch(f"[{pattern}]{{1,64}}", value):
        raise ValueError(f"{kind} is 1 to 64 characters of {pattern}, not {value!r}")
    return value


def _one_line(value: str) -> str:
    if not (value.isprintable() and 1 <= len(value) <= 200):
        raise ValueError("one line of 1 to 200 characters is needed")
    return value


def _token(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", value):
        raise ValueError(f"1 to 64 characters of A-Za-z0-9_- are needed, not {value!r}")
    return value


def _expectation(value: object, *, live: bool) -> Expectation:
    if isinstance(value, Expectation):
        return parse(value.text, live=live)
    if not isinstance(value, str):
        raise ValueError(f"an expectation in quotes is needed, e.g. 'stranded == 0', not {said(value)}")
    return parse(value, live=live)


def _device_file(value: object, info: ValidationInfo) -> Path:
    if not isinstance(value, str | Path) or Path(value).suffix.lower() not in (".csv", *JSON_SUFFIXES):
        raise ValueError(f"a {', '.join(('.csv', *JSON_SUFFIXES))} file is needed, not {said(value)}")
    return Path((info.context or {}).get("directory", ""), value)


def _pem_file(value: object, info: ValidationInfo) -> Path:
    if not isinstance(value, str | Path):
        raise ValueError(f"the name of a PEM file is needed, not {said(value)}")
    return Path((info.context or {}).get("directory", ""), value)


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _without_repeats(names: Sequence[str]) -> tuple[str, ...]:
    refuse([Problem((index,), f"{names[index]!r} is named twice") for index in repeated(names)])
    return tuple(names)


_DURATION_TEXT = {"type": "string", "pattern": r"^[0-9.]+(us|ms|s|m|h|d)", "examples": ["500ms", "30s", "2m30s", "25h"]}
DURATION = WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0}, _DURATION_TEXT]})
SIGNED_DURATION = WithJsonSchema({"type": ["number", "string"], "examples": ["-2h", "90s"]})
SHARE = WithJsonSchema(
    {"anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "string", "pattern": "^[0-9.]+ *%$"}]}
)
VERSION = WithJsonSchema({"enum": ["3.1.1", "5", 5]})
EXPECTATION = WithJsonSchema({"type": "string", "examples": ["stranded == 0", "rotate: outage.p99 < 10s"]})
NAMES = WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})

SignedSeconds = Annotated[float, BeforeValidator(signed_seconds), SIGNED_DURATION]
Seconds = Annotated[float, BeforeValidator(seconds), DURATION]
PositiveSeconds = Annotated[float, BeforeValidator(_positive_seconds), DURATION]
KeepaliveSeconds = Annotated[int, BeforeValidator(_keepalive), DURATION]
LifetimeSeconds = Annotated[int, BeforeValidator(_lifetime), DURATION]
Share = Annotated[float, BeforeValidator(share), SHARE]
Bit = Annotated[Literal[0, 1], BeforeValidator(_bit)]
MqttVersion = Annotated[Literal["3.1.1", "5"], BeforeValidator(_mqtt_version), VERSION]
Title = Annotated[str, AfterValidator(_one_line)]
Token = Annotated[str, AfterValidator(_token)]
StepId = Annotated[str, AfterValidator(partial(_name, "a step id", "a-z0-9_-"))]
FleetName = Annotated[str, AfterValidator(partial(_name, "a fleet's name", "A-Za-z0-9_-"))]
FleetNames = Annotated[Sequence[FleetName], AfterValidator(_without_repeats), Field(min_length=1)]
OneOrMoreFleets = Annotated[
    Sequence[FleetName], BeforeValidator(_listed), AfterValidator(_without_repeats), Field(min_length=1), NAMES
]
StepIds = Annotated[Sequence[StepId], BeforeValidator(_listed), AfterValidator(_without_repeats), NAMES]
SlotName = Annotated[Slot, Strict(strict=False)]
AnyExpectation = Annotated[Expectation, PlainValidator(partial(_expectation, live=False)), EXPECTATION]
LiveExpectation = Annotated[Expectation, PlainValidator(partial(_expectation, live=True)), EXPECTATION]
DeviceFile = Annotated[Path, BeforeValidator(_device_file)]
PemFile = Annotated[Path, BeforeValidator(_pem_file)]
