"""What schemathesis loads beside its own checks: ids of what is there, and a list of what was reached.

KEYTURN_DEVICES is how many devices of MQTT there are, KEYTURN_NB_IOT how many of NB-IoT, KEYTURN_PRODUCT the id of a
product of ROMA LINK that has a device, and so is not deleted, KEYTURN_REACHED the file of the list. What the platform
makes along the way is remembered, to be named in later calls.
"""

import json
import os
import re
from collections import defaultdict
from itertools import count
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import strategies
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import positive_data_acceptance

DEVICES, REACHED = int(os.environ["KEYTURN_DEVICES"]), Path(os.environ["KEYTURN_REACHED"])
NB_IOT = int(os.environ["KEYTURN_NB_IOT"])
ONLINE, FROZEN = "online", "frozen"
DOWNLINKS = ("/commands", "/messages", "/properties")
ROMA, OID = "/v2/{project_id}/link/instances/{instance_id}", re.compile(r"[0-9]{1,17}")
V5 = "/v5/iot/{project_id}"
MAKES = {
    f"{ROMA}/products": ("product_id", "id"),
    f"{ROMA}/devices": ("device_id", "id"),
    f"{V5}/routing-rule/rules": ("rule_id", "rule_id"),
    f"{V5}/routing-rule/actions": ("action_id", "action_id"),
    f"{V5}/devices/{{device_id}}/messages": ("message_id", "message_id"),
    f"{V5}/devices/{{device_id}}/async-commands": ("command_id", "command_id"),
}
"""Where a POST makes something: its name in the paths below, and in the answer."""

LONGEST_WAVE_S = 3600
URL = "http://127.0.0.1:9/"
NO_SCHEMA_CAN_SAY = (
    "IOTDA.014031",  # the device is there already
    "IOTDA.000010",  # the start is after the end
    "topic: expected one below",  # the topics of the device in the path
    "topic_full_name: expected a topic of the device's own",  # the same
    "expected at most 128 bytes",  # a schema counts characters
    "Integer exceeds 64-bit range",  # somewhere inside a value of any shape
    "secret: the secret of an NB-IoT device",  # a product told of in another call
    "asynchronous commands are for LwM2M devices",  # the device in the path is another
    "message_id: the device has a message of this id",
    "is there already",  # a product of this name
    "expected no more",  # there are as many as there may be
    "is there twice",  # the same device with two secrets
    "the last wave would start later",  # the number of devices, divided and multiplied
    " has devices",  # a product that is to be deleted
    "url: expected",  # which hosts and ports there are, and which of them are loopback addresses
)
calls = count()
known: dict[str, list[dict[str, Any]]] = defaultdict(list)
known[f"{ROMA}/products"].append({"product_id": int(os.environ["KEYTURN_PRODUCT"])})

schemathesis.openapi.format("basic-date-time", strategies.sampled_from(["20261121T193000Z", "20260101T000000Z"]))
schemathesis.openapi.format(
    "roma-password", strategies.sampled_from(["", "Open-Sesame-0001", "{Another}~Sesame?1", "0aA!" * 8])
)


@schemathesis.deserializer("application/x-ndjson")
def lines(context: Any, response: Any) -> str:
    return str(response.text)


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Let two calls of three name what is there; the device that is online gets downlinks and nothing else."""
    number = next(calls)
    _hurry(case.body)
    _name_device(case, number)
    if number % 3:
        _name_made(case, number)
        _name_in_body(case.operation.label, case.body, number)


def _hurry(body: Any) -> None:
    """Let waves of resets follow each other at once: nobody waits an hour for an answer here."""
    match body:
        case {"pace": {"every": int() | float() as every} as pace} if every is not True and 0 < every <= LONGEST_WAVE_S:
            pace["every"] = min(every, 0.001)


def _name_device(case: Any, number: int) -> None:
    named, path = (case.path_parameters or {}).get("device_id"), case.operation.path
    if named is None or path.startswith(ROMA):
        return
    is_downlink = path.endswith(DOWNLINKS)
    if "/async-commands" in path:
        case.path_parameters["device_id"] = f"nb-{number % NB_IOT}"
    elif path.endswith("/unfreeze") and number % 3:
        case.path_parameters["device_id"] = FROZEN
    elif number % 3 or (named == ONLINE and not is_downlink):
        case.path_parameters["device_id"] = ONLINE if is_downlink and number % 2 else f"known-{number % DEVICES}"


def _name_made(case: Any, number: int) -> None:
    """Name something that was made; what cannot be an id stays, as it is to be refused."""
    path = case.operation.path
    made = next((one for one, (name, _) in MAKES.items() if path.startswith(f"{one}/{{{name}}}")), None)
    if made is None or not known[made]:
        return
    if not path.startswith(ROMA) or OID.fullmatch(str(case.path_parameters[MAKES[made][0]])):
        case.path_parameters.update(known[made][number % len(known[made])])


def _name_in_body(label: str, body: Any, number: int) -> None:
    products, rules = known[f"{ROMA}/products"], known[f"{V5}/routing-rule/rules"]
    match body:
        case {"product": {**product}} if label == f"POST {ROMA}/devices" and _may_be_a_product(product):
            body["product"] = {**product, "product_id": products[number % len(products)]["product_id"]}
        case {"channel_detail": {"http_forwarding": {"url": str(url)} as forwarding}}:
            if url.startswith("http://"):
                forwarding["url"] = URL
            if rules and isinstance(body.get("rule_id"), str) and re.fullmatch(r"[A-Za-z0-9_-]{1,36}", body["rule_id"]):
                body["rule_id"] = rules[number % len(rules)]["rule_id"]


def _may_be_a_product(named: dict[str, Any]) -> bool:
    """Whether nothing is wrong with how a product is named, so that another one may stand there."""
    number, texts = named.get("product_id"), [named.get("manufacturer_id"), named.get("model")]
    is_number = isinstance(number, int | float) and not isinstance(number, bool) and 0 <= number < 10**17
    are_texts = [isinstance(one, str) and len(one) <= 64 for one in texts]
    fits = all(fine or one is None for fine, one in zip(are_texts, texts, strict=True))
    return fits and (is_number or (number is None and all(are_texts)))


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    with REACHED.open("a", encoding="utf-8") as reached:
        reached.write(json.dumps([case.operation.label, response.status_code]) + "\n")
    path = case.operation.path
    if response.status_code == 201 and path in MAKES:
        name, field = MAKES[path]
        device = {} if "{device_id}" not in path else {"device_id": case.path_parameters["device_id"]}
        known[path].append({**device, name: response.json()[field]})
    if response.status_code == 204 and case.operation.method.upper() == "DELETE":
        above, _, name = path.rpartition("/")
        gone = (case.path_parameters or {}).get(name.strip("{}"))
        known[above] = [one for one in known[above] if str(one[name.strip("{}")]) != str(gone)]


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
