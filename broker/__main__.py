"""`python -m broker`: one platform as a process.

Exit codes: 0 after a clean stop, 2 when it cannot be started as asked, 4 after a crash.
"""

import argparse
import asyncio
import gc
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson

from broker import VERSION
from broker.complaints import complain
from broker.engines.address import EngineAddress
from broker.errors import SettingsError, StoreError
from broker.server import Platform
from broker.settings import Settings

OK, USAGE, CRASH = 0, 2, 4
SECRET_KEY_VARIABLE = "KEYTURN_SECRET_KEY"
ENGINE_PASSWORD_VARIABLE = "KEYTURN_ENGINE_PASSWORD"
NOTICE = "a platform for tests; it is not a cloud, keep no real secret in it"


def main(arguments: Sequence[str] | None = None, prog: str = "keyturn serve") -> int:
    flags = vars(_parser(prog).parse_args(arguments))
    parent_pipe = flags.pop("parent_pipe")
    if flags["access_key"] is not None and flags["secret_key"] is None:
        flags["secret_key"] = os.environ.get(SECRET_KEY_VARIABLE)
    try:
        password, ca = os.environ.get(ENGINE_PASSWORD_VARIABLE), flags.pop("engine_ca")
        flags["engine"] = EngineAddress.parse(flags["engine"], password, ca)
        settings = Settings(**{**flags, "sign_window_hours": tuple(flags["sign_window_hours"])})
        _raise_file_limit()
        with asyncio.Runner(loop_factory=_new_loop) as runner:
            return runner.run(_serve(settings, parent_pipe=parent_pipe))
    except (SettingsError, StoreError) as error:
        complain(str(error))
        return USAGE
    except Exception:  # noqa: BLE001 - the last guard: the exit code says that it was our fault
        complain(f"crashed\n{traceback.format_exc()}")
        return CRASH


async def _serve(settings: Settings, *, parent_pipe: bool) -> int:
    loop = asyncio.get_running_loop()
    platform = Platform(settings)
    stop = platform.stop_asked
    crashes: list[BaseException] = []

    def report(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        complain(f"{context['message']}: {error!r}")
        if error is not None and not isinstance(error, OSError):
            complain("".join(traceback.format_exception(error)))
            crashes.append(error)
            stop.set()

    loop.set_exception_handler(report)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with platform:
        if parent_pipe:
            _watch_parent(loop, stop.set)
        _spare_the_collector()
        _announce(platform)
        await stop.wait()
    return CRASH if crashes else OK


def _announce(platform: Platform) -> None:
    host = platform.settings.host
    ready = {
        "ready": True,
        "version": VERSION,
        "pid": os.getpid(),
        "run": platform.run,
        "http": {"host": host, "port": platform.http_port},
        "mqtt": {"host": host, "port": platform.mqtt_port},
        **{name: {"host": host, "port": port} for name, port in platform.more_ports.items()},
        **({"ca": str(platform.ca)} if platform.ca else {}),
    }
    complain(NOTICE)
    sys.stdout.write(orjson.dumps(ready).decode() + "\n")
    sys.stdout.flush()


def _watch_parent(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    """Stop when the other end of our standard input is closed: the parent is gone."""
    stdin = sys.stdin.fileno()

    def read() -> None:
        if not os.read(stdin, 4096):
            loop.remove_reader(stdin)
            stop()

    loop.add_reader(stdin, read)


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _spare_the_collector() -> None:
    """Devices and sessions live long: a full collection would walk over all of them and stop the loop meanwhile."""
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def _raise_file_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=prog, description="The local platform.")
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on")
    add("--mqtt-port", type=int, default=1883, help="0 = any free port")
    add("--http-port", type=int, default=8080, help="0 = any free port")
    add("--mqtts-port", type=int, help="serve MQTT over TLS; 0 = any free port")
    add("--tls-cert", type=Path, dest="tls_certificate", metavar="PATH", help="its certificate, and those above it")
    add("--tls-key", type=Path, metavar="PATH", help="the key; without both, an authority of our own vouches for us")
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
    add("--coap-port", type=int, help="serve NB-IoT devices in the clear; 0 = any free port")
    add("--coaps-port", type=int, help="serve NB-IoT devices over DTLS; 0 = any free port")
    add("--db", type=Path, metavar="PATH", help="SQLite file; without it nothing is kept")
    add("--journal", type=Path, metavar="PATH", help="JSON lines, appended")
    add("--expose", action="store_true", help="allow an address that is not loopback; needs --token or --access-key")
    add("--token", help="callers of the HTTP API must send it as X-Auth-Token")
    add(
        "--access-key", metavar="AK", help="callers of the HTTP API must sign with this key; with --token, or send that"
    )
    add("--secret-key", metavar="SK", help=f"its secret; without it that of the variable {SECRET_KEY_VARIABLE}")
    add("--project-id", metavar="ID", help="refuse the vendor's calls that name another project")
    add("--instance-id", metavar="ID", help="refuse the vendor's calls that name another instance")
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
    add("--parent-pipe", action="store_true", help=argparse.SUPPRESS)
    add(
        "--sign-window-hours",
        type=int,
        nargs=2,
        default=(-1, 1),
        metavar=("FROM", "TO"),
        help="how far the hour of a sign 1 client may be off",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(prog="python -m broker"))
