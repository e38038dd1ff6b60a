"""What schemathesis loads beside its own checks: ids of devices that are there, and a list of what was reached.

KEYTURN_DEVICES is how many devices there are, KEYTURN_REACHED the file of the list.
"""

import json
import os
from itertools import count
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import strategies
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import positive_data_acceptance

DEVICES, REACHED = int(os.environ["KEYTURN_DEVICES"]), Path(os.environ["KEYTURN_REACHED"])
ONLINE = "online"
DOWNLINKS = ("/commands", "/messages")
NO_SCHEMA_CAN_SAY = (
    "IOTDA.014031",  # the device is there already
    "IOTDA.000010",  # the start is after the end
    "topic: expected one below",  # the topics of the device in the path
    "Integer exceeds 64-bit range",  # somewhere inside a value of any shape
)
calls = count()

schemathesis.openapi.format("basic-date-time", strategies.sampled_from(["20261121T193000Z", "20260101T000000Z"]))


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Let two calls of three name a device that is there; the one that is online gets downlinks and nothing else."""
    number, named = next(calls), (case.path_parameters or {}).get("device_id")
    is_downlink = case.operation.path.endswith(DOWNLINKS)
    if named is not None and (number % 3 or (named == ONLINE and not is_downlink)):
        case.path_parameters["device_id"] = ONLINE if is_downlink and number % 2 else f"known-{number % DEVICES}"


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    with REACHED.open("a", encoding="utf-8") as reached:
        reached.write(json.dumps([case.operation.label, response.status_code]) + "\n")


@schemathesis.check
def what_fits_the_description_is_taken(context: Any, response: Any, case: Any) -> bool | None:
    """Schemathesis's own check, but for what depends on more than the request's parts one by one."""
    if response.status_code == 400 and any(one in response.text for one in NO_SCHEMA_CAN_SAY):
        return None
    verdict: bool | None = positive_data_acceptance(context, response, case)
    return verdict


@schemathesis.check
def only_a_silent_device_is_our_failure(context: Any, response: Any, case: Any) -> bool | None:
    """Schemathesis's own check, but for the answer that says that a device gave none."""
    if response.status_code == 504 and "IOTDA.014111" in response.text:
        return None
    verdict: bool | None = not_a_server_error(context, response, case)
    return verdict
