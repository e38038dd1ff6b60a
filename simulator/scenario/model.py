"""A scenario: platform, fleets, timeline and expectations. The same model reads files and is built in Python."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from simulator.scenario.checks import dependencies, expectation_problems, link_problems, timeline_problems
from simulator.scenario.demands import BEYOND_MQTT, unmet
from simulator.scenario.fleets import Fleet
from simulator.scenario.steps import Step
from simulator.scenario.strict import Problem, Strict, refuse
from simulator.scenario.values import (
    AnyExpectation,
    FleetName,
    PemFile,
    PositiveSeconds,
    Seconds,
    Title,
    Token,
)

_BELONGS_TO = {
    "api": ("remote",),
    "mqtt": ("remote", "broker-only"),
    "mqtts": ("remote", "broker-only"),
    "ca": ("remote", "broker-only"),
    "coap": ("remote",),
    "coaps": ("remote",),
    "token_env": ("remote",),
    "access_key_env": ("remote",),
    "secret_key_env": ("remote",),
    "region": ("remote",),
    "engine_ca": ("embedded",),
}
IN_PROCESS = ("builtin", "amqtt")
ENGINE_PASSWORD = "KEYTURN_ENGINE_PASSWORD"


def _url(value: str, *schemes: str) -> str:
    try:
        url = urlsplit(value)
        wanted = url.scheme in schemes and url.hostname and url.port != 0
        good = wanted and url.username is None and value.isascii() and value.isprintable()
    except ValueError:
        good = False
    if not good:
        raise ValueError(f"an address such as {schemes[0]}://host:port is needed, not {value!r}")
    return value


def _engine(value: str) -> str:
    """Refuse what is no engine at all, and a password: a scenario is a file that people pass on."""
    try:
        url = urlsplit(value)
        is_broker = url.scheme in ("mqtt", "mqtts", "unix") and value.isascii() and value.isprintable()
        has_password = url.password is not None
    except ValueError:
        is_broker = has_password = False
    if has_password:
        raise ValueError(f"no password in a scenario: the environment variable {ENGINE_PASSWORD} is for it")
    if not is_broker and value not in IN_PROCESS:
        raise ValueError(f"builtin, amqtt, or a broker such as mqtt://host:port or unix:/path is needed, not {value!r}")
    return value


class Platform(Strict):
    """Where the devices connect: a platform of our own for this run, one that is already there, or any MQTT broker.

    `mqtt`, `mqtts`, `coap` and `coaps` are asked of a remote platform when they are left out; `ca` is a file with the
    certificates of who vouches for it. Callers of the API are let in with
    the token in the environment variable `token_env`, or sign with the keys in `access_key_env` and `secret_key_env`;
    with a `region` the signing key is derived for it.

    `engine` carries what devices of an embedded platform say to each other: `builtin`, `amqtt`, or a broker's URL;
    `engine_ca` is a file with the certificates of who vouches for a broker at mqtts://.
    """

    kind: Literal["embedded", "remote", "broker-only"] = "embedded"
    api: Annotated[str, AfterValidator(lambda value: _url(value, "http", "https"))] | None = None
    mqtt: Annotated[str, AfterValidator(lambda value: _url(value, "mqtt"))] | None = None
    mqtts: Annotated[str, AfterValidator(lambda value: _url(value, "mqtts"))] | None = None
    ca: PemFile | None = None
    coap: Annotated[str, AfterValidator(lambda value: _url(value, "coap"))] | None = None
    coaps: Annotated[str, AfterValidator(lambda value: _url(value, "coaps"))] | None = None
    project_id: Token = "default"
    instance_id: Token | None = None
    token_env: Token | None = None
    access_key_env: Token | None = None
    secret_key_env: Token | None = None
    region: Token | None = None
    preset: Literal["iotda-standard"] = "iotda-standard"
    engine: Annotated[str, AfterValidator(_engine)] = "builtin"
    engine_ca: PemFile | None = None

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        if self.kind == "remote" and self.api is None:
            raise ValueError("a remote platform needs api, the address of its control API")
        if self.kind == "broker-only" and self.mqtt is None and self.mqtts is None:
            raise ValueError("a broker-only platform needs mqtt or mqtts, the address of the broker")
        refuse(
            [
                Problem((key,), f"{key} belongs to a platform of kind {' or '.join(kinds)}")
                for key, kinds in _BELONGS_TO.items()
                if getattr(self, key) is not None and self.kind not in kinds
            ]
        )
        refuse(list(self._problems_of_the_key()))
        if self.engine != "builtin" and self.kind != "embedded":
            refuse([Problem(("engine",), "engine belongs to a platform of kind embedded")])
        return self

    @property
    def is_relayed(self) -> bool:
        """Whether the platform has a second connection for every device, to a broker."""
        return self.engine not in IN_PROCESS

    def _problems_of_the_key(self) -> Iterator[Problem]:
        for key, other in (("access_key_env", "secret_key_env"), ("secret_key_env", "access_key_env")):
            if getattr(self, key) is not None and getattr(self, other) is None:
                yield Problem((key,), f"{key} needs {other} beside it")
        if self.access_key_env is None and self.secret_key_env is None:
            if self.region is not None:
                yield Problem(("region",), "region is signed with: it needs access_key_env and secret_key_env")
        elif self.token_env is not None:
            yield Problem(("token_env",), "a token or an access key lets a caller in: give one of them")


class Scenario(Strict):
    """A whole run. `settle`: the longest wait at the end, in seconds, for devices that are still on their way.

    `loop_lag_limit`: when the simulator itself is later than this (p99, seconds), times and rates are invalid.
    """

    name: Title
    description: str = ""
    intent: Literal["routine", "revocation"] = "routine"
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = 1
    settle: Seconds = 30.0
    loop_lag_limit: PositiveSeconds = 0.25
    platform: Platform = Platform()
    fleets: Annotated[Mapping[FleetName, Fleet], Field(min_length=1)]
    timeline: Annotated[Sequence[Step], AfterValidator(tuple), Field(min_length=1)]
    expect: Annotated[Sequence[AnyExpectation], AfterValidator(tuple)] = ()

    @property
    def schemes(self) -> set[str]:
        """What its fleets speak, as schemes of addresses: mqtt, mqtts, coap, coaps."""
        return {fleet.scheme for fleet in self.fleets.values()}

    def dependencies(self) -> dict[str, tuple[str, ...]]:
        """The steps that each step waits for, in the order of the timeline."""
        return dependencies(self.timeline)

    @model_validator(mode="after")
    def _check_references(self) -> Self:
        refuse(
            [
                *timeline_problems(self.timeline, self.fleets),
                *expectation_problems(self.expect, self.timeline, self.fleets),
                *self._demands_on_a_broker(),
                *link_problems(self.fleets, {name: one.count for name, one in self.fleets.items() if one.count}),
            ]
        )
        return self

    def _demands_on_a_broker(self) -> Iterator[Problem]:
        if self.platform.kind == "broker-only":
            because = f"{self.platform.mqtt or self.platform.mqtts} is an MQTT broker and nothing else"
            yield from unmet(self.timeline, self.expect, BEYOND_MQTT, because)
            for name, fleet in self.fleets.items():
                if getattr(self.platform, fleet.scheme) is None:
                    message = f"fleet {name!r} speaks {fleet.spoken}, but platform.{fleet.scheme} is not given"
                    yield Problem(("fleets", name, "protocol"), message)
