"""No object shows a secret in its repr; and the search for secrets finds those that were hidden on purpose."""

import base64
import dataclasses
import enum
import importlib
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import pytest
from pydantic import BaseModel, SkipValidation

from tests.support.canary import MARK, files_that_show, forms, shown

PACKAGES = ("wire", "simulator", "broker")
SPEAKING = ("secret", "password", "primary", "secondary", "token", "key", "paras", "payload", "body")
"""A field with one of these in its name holds a secret, or what may hold one, until its type proves that it cannot."""

NAME = "the name of an environment variable"
DESCRIPTION = "describes an answer; answers are not made of it"
EXCHANGES = ("Response", "Failed", "Acknowledged", "Rejected", "Sending")
COAP_TOKEN = "CoAP's word for the number that an answer has of its request"
NO_SECRETS = {
    **{
        (f"wire.coap.exchanges.{one}", "token"): COAP_TOKEN
        for one in ("Response", "Failed", "Acknowledged", "Rejected", "Sending")
    },
    ("simulator.caller.CallerVariables", "token"): NAME,
    ("simulator.caller.CallerVariables", "access_key"): NAME,
    ("simulator.caller.CallerVariables", "secret_key"): NAME,
    ("simulator.scenario.model.Platform", "token_env"): NAME,
    ("simulator.scenario.model.Platform", "access_key_env"): NAME,
    ("simulator.scenario.model.Platform", "secret_key_env"): NAME,
    ("broker.settings.Settings", "tls_key"): "the name of a file",
    ("broker.control_api.device_answers.ShownAuthInfo", "secret"): DESCRIPTION,
    ("broker.control_api.device_answers.ShownAuthInfo", "secondary_secret"): DESCRIPTION,
    ("broker.control_api.device_answers.ChangedAuthInfo", "secret"): DESCRIPTION,
    ("broker.control_api.device_answers.ChangedAuthInfo", "secondary_secret"): DESCRIPTION,
    ("broker.control_api.iotda.NewSecret", "secret"): DESCRIPTION,
    ("broker.control_api.inventory.ListedSecret", "secret"): DESCRIPTION,
    ("broker.control_api.async_commands.ShownCommand", "paras"): DESCRIPTION,
    ("broker.control_api.downlink_answers.ShownMessage", "payload_format"): "standard or raw",
    ("broker.control_api.downlink_requests.UserProperty", "prop_key"): "the name of a property",
}

Field = tuple[str, str]
Classes = Iterator[type[Any]]


def data_classes() -> Classes:
    """Every dataclass and every model of ours, wherever it was made."""
    for package in map(importlib.import_module, PACKAGES):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if found.name.endswith("__main__"):
                continue
            for one in vars(importlib.import_module(found.name)).values():
                if not isinstance(one, type) or one.__module__ != found.name:
                    continue
                if dataclasses.is_dataclass(one) or issubclass(one, BaseModel):
                    yield one


def shown_fields(one: type[Any]) -> Iterator[tuple[str, Any]]:
    """The fields that a class shows in its repr, with their types."""
    if issubclass(one, BaseModel):
        yield from ((name, field.annotation) for name, field in one.model_fields.items() if field.repr)
        return
    hints = get_type_hints(one, include_extras=True)
    yield from ((field.name, hints[field.name]) for field in dataclasses.fields(one) if field.repr)


def may_hold_text(kind: Any) -> bool:
    """Whether a value of this type could be a secret; our own classes are looked at by themselves."""
    if get_origin(kind) in (Literal, type):
        return False
    if get_origin(kind) is Annotated:
        return may_hold_text(get_args(kind)[0])
    if get_args(kind):
        return any(may_hold_text(part) for part in get_args(kind) if part is not Ellipsis)
    if not isinstance(kind, type):
        return True
    if kind in (bool, int, float, type(None)) or issubclass(kind, enum.Enum):
        return False
    return kind.__module__.partition(".")[0] not in PACKAGES


def leaks(classes: Classes) -> Iterator[Field]:
    for one in classes:
        for name, kind in shown_fields(one):
            if any(word in name for word in SPEAKING) and may_hold_text(kind):
                yield f"{one.__module__}.{one.__qualname__}", name


def test_no_class_shows_a_secret_in_its_repr() -> None:
    found = set(leaks(data_classes()))
    assert found - NO_SECRETS.keys() == set()
    assert NO_SECRETS.keys() - found == set(), "nobody needs these any more"


@dataclasses.dataclass
class Careless:
    secret: str
    old_password: bytes | None
    tokens: list[Annotated[str, "any"]]
    body: object
    key_count: int
    primary: bool
    payload: bytes = dataclasses.field(repr=False)


class CarelessModel(BaseModel):
    secret: SkipValidation[str]
    paras: dict[str, Any]
    fingerprint: str


def test_planted_class_that_shows_its_secret_is_found() -> None:
    assert [name for _, name in leaks(iter([Careless]))] == ["secret", "old_password", "tokens", "body"]
    assert [name for _, name in leaks(iter([CarelessModel]))] == ["secret", "paras"]


ENCODINGS: dict[str, Callable[[str], bytes]] = {
    "plain": str.encode,
    "hex": lambda text: text.encode().hex().encode(),
    "HEX": lambda text: text.encode().hex().upper().encode(),
    "base64": lambda text: base64.b64encode(text.encode()),
    "base64, urlsafe": lambda text: base64.urlsafe_b64encode(text.encode()),
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-16, big end first": lambda text: text.encode("utf-16-be"),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("before", ["", "1", "12", "123", '{"secret": "'])
def test_planted_secret_is_found_however_it_is_written(tmp_path: Path, encoding: str, before: str) -> None:
    planted = tmp_path / "report" / "planted.bin"
    planted.parent.mkdir()
    planted.write_bytes(b"noise " + ENCODINGS[encoding](f"{before}{MARK}-of-d1 and more") + b" noise")
    (tmp_path / "innocent").write_bytes(b"canary " * 9)
    assert files_that_show(tmp_path) == [planted]


def test_every_form_of_a_secret_is_long_enough_to_be_no_accident() -> None:
    assert all(len(form) >= len(MARK) for form in forms(MARK))
    assert not shown(b"canary-7f3a9c51e")
