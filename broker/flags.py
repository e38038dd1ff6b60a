"""The flags of `keyturn serve`; each is named like the setting that it gives, or says which one it gives."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from broker.settings import HOOKS

SECRET_KEY_VARIABLE = "KEYTURN_SECRET_KEY"
ENGINE_PASSWORD_VARIABLE = "KEYTURN_ENGINE_PASSWORD"
HOOK_VARIABLES = {"engine_password": ENGINE_PASSWORD_VARIABLE, "hook_token": "KEYTURN_HOOK_TOKEN"}

Add = Callable[..., Any]


def parser(prog: str) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog=prog, description="The local platform.")
    _add_ports(made.add_argument)
    _add_engine(made.add_argument)
    _add_hook(made.add_argument)
    _add_storage(made.add_argument)
    _add_callers(made.add_argument)
    _add_rules(made.add_argument)
    made.add_argument("--parent-pipe", action="store_true", help=argparse.SUPPRESS)
    return made


def _add_ports(add: Add) -> None:
    add("--host", default="127.0.0.1", help="address to listen on")
    add("--mqtt-port", type=int, default=1883, help="0 = any free port")
    add("--http-port", type=int, default=8080, help="0 = any free port")
    add("--mqtts-port", type=int, help="serve MQTT over TLS; 0 = any free port")
    add("--tls-cert", type=Path, dest="tls_certificate", metavar="PATH", help="its certificate, and those above it")
    add("--tls-key", type=Path, metavar="PATH", help="the key; without both, an authority of our own vouches for us")
    add("--coap-port", type=int, help="serve NB-IoT devices in the clear; 0 = any free port")
    add("--coaps-port", type=int, help="serve NB-IoT devices over DTLS; 0 = any free port")
    add(
        "--access-processes",
        type=int,
        default=1,
        metavar="N",
        help="let devices in by so many processes, on the same ports; 1 serves them in the platform's own",
    )


def _add_engine(add: Add) -> None:
    add(
        "--engine",
        default="builtin",
        metavar="ENGINE",
        help="who carries what devices say to each other: builtin, amqtt, mqtt://HOST, mqtts://HOST or unix:/PATH; "
        f"a password is better in the variable {ENGINE_PASSWORD_VARIABLE} than in the URL",
    )
    add("--engine-ca", type=Path, metavar="PATH", help="the certificates of who vouches for an engine at mqtts://")
    add(
        "--policy",
        choices=("iotda", "open"),
        default="iotda",
        help="open: an engine offers all that it has, on every topic, and to clients that claim to be no device",
    )


def _add_hook(add: Add) -> None:
    add("--hook", choices=HOOKS, help="another broker takes devices too, asks us about them, and is told whom to cut")
    add(
        "--engine-api",
        metavar="URL",
        help=f"its management API, http://user@host:port; the password is that of {HOOK_VARIABLES['engine_password']}",
    )
    add("--hook-token", help=f"it must show this when it asks; without it that of {HOOK_VARIABLES['hook_token']}")
    add("--engine-secure", action="store_true", help="it takes devices over TLS alone")
    add("--engine-poll-s", type=float, default=2.0, metavar="S", help="how often its connections are looked up")


def _add_storage(add: Add) -> None:
    add("--db", type=Path, metavar="PATH", help="SQLite file; without it nothing is kept")
    add("--journal", type=Path, metavar="PATH", help="JSON lines, appended")


def _add_callers(add: Add) -> None:
    add("--expose", action="store_true", help="allow an address that is not loopback; needs --token or --access-key")
    add("--token", help="callers of the HTTP API must send it as X-Auth-Token")
    add(
        "--access-key", metavar="AK", help="callers of the HTTP API must sign with this key; with --token, or send that"
    )
    add("--secret-key", metavar="SK", help=f"its secret; without it that of the variable {SECRET_KEY_VARIABLE}")
    add("--project-id", metavar="ID", help="refuse the vendor's calls that name another project")
    add("--instance-id", metavar="ID", help="refuse the vendor's calls that name another instance")


def _add_rules(add: Add) -> None:
    add(
        "--roma-shortest-password",
        type=int,
        default=16,
        metavar="N",
        help="characters that a reset of ROMA LINK demands, 8 to 32",
    )
    add(
        "--roma-strict-user-names",
        action="store_true",
        help="user names of ROMA LINK have 10 to 50 characters, not 1 to 64",
    )
    add("--strict", action="store_true", dest="strict_topics", help="disconnect on a foreign topic")
    add("--strict-dtls", action="store_true", help="a reset of a primary secret ends the device's DTLS session at once")
    add(
        "--sign-window-hours",
        type=int,
        nargs=2,
        default=(-1, 1),
        metavar=("FROM", "TO"),
        help="how far the hour of a sign 1 client may be off",
    )
