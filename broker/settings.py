"""What can be set on a platform, with its defaults and limits."""

import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from broker.auth.plain_login import LONGEST_PASSWORD, LoginRules
from broker.auth.signature import AccessKey
from broker.engines.address import BUILTIN, EngineAddress, Kind
from broker.errors import SettingsError
from broker.hooks.engine import parse_address

HOOKS = ("rabbitmq", "emqx")
MAX_PAYLOAD = 1 << 20
PUBLISH_HEADER = 2 + 65_535 + 2
MAX_ACCESS_PROCESSES = 64
KEY_ID = re.compile(r"[!-+\-.0-~]+")


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of one platform; a port 0 means any free one, `db` None keeps the registry in memory.

    An MQTTS port None is not served. Its certificate is `tls_certificate` with `tls_key`, PEM files, or else one of an
    authority of our own, kept beside `db`.
    `engine` carries what devices say to each other. `policy` "iotda" offers what the cloud offers; "open" lets the
    engine offer all that it has, on any topic, and to guests: clients without a user name that claim to be no device.
    It is for loopback alone.
    `engine_timeout_s` is how long an engine may take to answer for a session, `engine_dials` how many are dialled at
    a time.

    A CoAP port None is not served: NB-IoT devices speak in the clear on the first and over DTLS on the second.

    `strict_dtls` ends a DTLS session with the secret that it was made with, and not at its device's next handshake.

    `stored_state_limit_s` bounds how long the state of a device that is away is kept, whatever it asked for; 0 keeps
    none. `keepalive_factor` times its keep alive is how long a client may be silent.
    `answer_timeout_s` is how long a caller of the vendor's commands and properties waits for a device.
    `hook` names the broker, rabbitmq or emqx, that takes devices too and asks us about them; `engine_api` is the URL of
    its management API with the user name, `hook_token` what it must show. `engine_secure` says that it takes devices
    over TLS alone. Its connections are compared with our sessions every `engine_poll_s`, and one that we have allowed
    may be unknown there for `engine_settle_s`.
    `access_processes` let devices in, on the same ports; a change of what they judge by is answered when all have
    confirmed it, or after `confirm_timeout_s` with an error.
    The `push_` settings hold for each receiver of status pushes; `push_backoff_s` is the waits before the attempts
    after the first.

    Raises SettingsError when values contradict each other or cannot be meant.
    """

    host: str = "127.0.0.1"
    mqtt_port: int = 1883
    http_port: int = 8080
    mqtts_port: int | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    engine: EngineAddress = BUILTIN
    policy: Literal["iotda", "open"] = "iotda"
    engine_timeout_s: float = 10.0
    engine_dials: int = 48
    coap_port: int | None = None
    coaps_port: int | None = None
    db: Path | None = None
    journal: Path | None = None
    expose: bool = False
    token: str | None = field(default=None, repr=False)
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    project_id: str | None = None
    instance_id: str | None = None

    hook: str | None = None
    engine_api: str | None = field(default=None, repr=False)
    engine_password: str | None = field(default=None, repr=False)
    hook_token: str | None = field(default=None, repr=False)
    engine_secure: bool = False
    engine_poll_s: float = 2.0
    engine_settle_s: float = 6.0
    management_timeout_s: float = 5.0

    roma_shortest_password: int = 16
    roma_strict_user_names: bool = False

    strict_topics: bool = False
    strict_dtls: bool = False
    sign_window_hours: tuple[int, int] = (-1, 1)
    keepalive_range_s: tuple[int, int] = (30, 1200)
    keepalive_factor: float = 1.5
    connect_timeout_s: float = 30.0
    max_packet_body: int = MAX_PAYLOAD + PUBLISH_HEADER
    write_cap: int = 1 << 20
    linger_s: float = 1.0
    stuck_s: float = 0.1
    sweep_s: float = 1.0
    receive_maximum: int = 1000
    inflight_window: int = 20
    queue_limit: int = 1000
    queue_bytes: int = 1 << 20
    stored_state_limit_s: int = 86_400
    answer_timeout_s: float = 20.0

    push_timeout_s: float = 5.0
    push_backoff_s: tuple[float, ...] = (0.2, 1.0, 5.0)
    push_concurrency: int = 16
    push_queue_limit: int = 10_000

    busy_timeout_s: float = 2.0
    journal_ring: int = 100_000
    stop_grace_s: float = 2.0

    access_processes: int = 1
    confirm_timeout_s: float = 2.0

    def __post_init__(self) -> None:
        for name in ("mqtt_port", "http_port", "mqtts_port", "coap_port", "coaps_port"):
            port = getattr(self, name)
            _require(port is None or 0 <= port <= 65_535, f"{name} is {port}, expected 0 to 65535")
        for one, other in (("mqtt_port", "http_port"), ("mqtt_port", "mqtts_port"), ("http_port", "mqtts_port")):
            port = getattr(self, one)
            _require(not port or port != getattr(self, other), f"{one} and {other} are both {port}, expected two ports")
        _require(
            (self.tls_certificate is None) == (self.tls_key is None),
            "tls_certificate and tls_key belong together, expected both or none",
        )
        _require(
            not self.coap_port or self.coap_port != self.coaps_port,
            f"coap_port and coaps_port are both {self.coap_port}, expected two ports",
        )
        _require(
            self.expose or is_loopback(self.host),
            f"host {self.host!r} is not a loopback address; to offer a test platform to others say --expose",
        )
        _require(
            not self.is_open or self.engine.is_broker,
            "policy open lets the engine offer all that it has, which the builtin engine has not; "
            "expected an engine: amqtt, or the URL of a broker",
        )
        _require(
            not (self.is_open and self.expose),
            "policy open lets in whoever says that it is no device, and --expose lets strangers reach it; "
            "expected only one of them",
        )
        _require(
            1 <= self.access_processes <= MAX_ACCESS_PROCESSES,
            f"access_processes is {self.access_processes}, expected 1 to {MAX_ACCESS_PROCESSES}",
        )
        _require(
            self.access_processes == 1 or self.engine.kind is not Kind.AMQTT,
            "engine amqtt is in one process, expected builtin or the URL of a broker with more access_processes than 1",
        )
        _require(
            self.access_processes == 1 or self.hook is None,
            "with a hook another broker takes the devices, expected 1 access process",
        )
        self._check_callers()
        self._check_hook()
        self._check_ranges()

    @property
    def is_open(self) -> bool:
        return self.policy == "open"

    @property
    def tls_folder(self) -> Path | None:
        """Where the authority of our own is kept: beside the database, if there is one."""
        return None if self.db is None else self.db.with_name(f"{self.db.name}.tls")

    @property
    def key(self) -> AccessKey | None:
        """The key that callers sign with."""
        if self.access_key is None or self.secret_key is None:
            return None
        return AccessKey(self.access_key, self.secret_key)

    @property
    def login_rules(self) -> LoginRules:
        """What user names and passwords of ROMA LINK may look like; strict names are as long as in the vendor's SDK."""
        return LoginRules(self.roma_shortest_password, (10, 50) if self.roma_strict_user_names else (1, 64))

    def _check_callers(self) -> None:
        _require(
            (self.access_key is None) == (self.secret_key is None),
            "access_key and secret_key belong together, expected both or none",
        )
        _require(
            self.access_key is None or KEY_ID.fullmatch(self.access_key) is not None,
            "access_key: expected visible ASCII characters, neither a comma nor a slash",
        )
        for name in ("token", "secret_key"):
            value = getattr(self, name)
            _require(value is None or (value != "" and value.isprintable()), f"{name}: expected printable characters")
        _require(
            not self.expose or self.token is not None or self.key is not None,
            "--expose needs --token or --access-key, so that strangers cannot reset secrets",
        )

    def _check_hook(self) -> None:
        if self.hook is None:
            _require(self.engine_api is None and self.hook_token is None, "engine_api and hook_token are for a hook")
            return
        _require(self.hook in HOOKS, f"hook is {self.hook!r}, expected {' or '.join(HOOKS)}")
        _require(self.engine_api is not None, "hook: expected engine_api, the URL of the broker's management API")
        parse_address(self.engine_api or "", self.engine_password)
        _require(
            self.hook_token != "" and (self.hook_token is not None or (self.token is None and self.key is None)),
            "hook_token: expected one where the callers of the HTTP API have to show something",
        )

    def _check_ranges(self) -> None:
        for name in ("sign_window_hours", "keepalive_range_s"):
            low, high = getattr(self, name)
            _require(low <= high, f"{name} is {low},{high}, expected the lower bound first")
        seconds = ("connect_timeout_s", "linger_s", "stuck_s", "sweep_s", "answer_timeout_s", "busy_timeout_s")
        for name in (
            *seconds,
            "stop_grace_s",
            "push_timeout_s",
            "engine_timeout_s",
            "engine_poll_s",
            "engine_settle_s",
            "management_timeout_s",
            "confirm_timeout_s",
        ):
            value = getattr(self, name)
            _require(value > 0, f"{name} is {value}, expected more than 0 seconds")
        for name in ("receive_maximum", "inflight_window"):
            value = getattr(self, name)
            _require(0 < value <= 65_535, f"{name} is {value}, expected 1 to 65535")
        _require(
            all(wait_s > 0 for wait_s in self.push_backoff_s),
            f"push_backoff_s is {self.push_backoff_s}, expected more than 0 seconds each",
        )
        _require(
            0 <= self.stored_state_limit_s < 1 << 32,
            f"stored_state_limit_s is {self.stored_state_limit_s}, expected 0 to 4294967295 seconds",
        )
        _require(
            8 <= self.roma_shortest_password <= LONGEST_PASSWORD,
            f"roma_shortest_password is {self.roma_shortest_password}, expected 8 to {LONGEST_PASSWORD}",
        )
        for name in (
            "max_packet_body",
            "write_cap",
            "queue_limit",
            "queue_bytes",
            "journal_ring",
            "push_concurrency",
            "push_queue_limit",
            "engine_dials",
        ):
            value = getattr(self, name)
            _require(value > 0, f"{name} is {value}, expected at least 1")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise SettingsError(message)


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
